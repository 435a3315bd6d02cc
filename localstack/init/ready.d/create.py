"""Creates in an emulator of AWS everything that CodeHealer needs: the table, the queues, the secrets. Doing it twice changes nothing.

LocalStack runs it by itself when it is ready, in its own Python; `make local` runs it against moto. The table is that of
src/aws/dynamodb/table.rs, as in terraform/dynamodb.tf.
"""
import json
import os
import secrets

import boto3
from botocore.config import Config

NAME = os.environ.get("CODEHEALER_NAME") or "codehealer"
REGION = os.environ.get("AWS_DEFAULT_REGION") or "eu-central-1"
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL") or "http://127.0.0.1:4566"
# What secrets hold here: nobody outside of this machine can use it. A webhook secret of one's own is taken from the environment.
VALUES = {
    "webhook": os.environ.get("CODEHEALER_WEBHOOK_SECRET") or secrets.token_hex(32),
    "github-app": os.environ.get("CODEHEALER_GITHUB_KEY") or "put the App's private key here",
    "github-token": os.environ.get("GITHUB_TOKEN") or "put a token here",
    "slack": os.environ.get("SLACK_BOT_TOKEN") or "put a bot token here",
}
WORKER_SECONDS = 300


def client(service):
    # An emulator answers at once or not at all.
    once = Config(retries={"total_max_attempts": 2}, read_timeout=30)
    return boto3.client(service, endpoint_url=ENDPOINT, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test", config=once)


def keys(partition, sort):
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def table():
    dynamodb = client("dynamodb")
    indexes = {name: (f"_{name}_hash", f"_{name}_range") for name in ("due", "repository", "issue_type", "outcome")}
    attributes = ["pk", "sk"] + [key for pair in indexes.values() for key in pair]
    try:
        dynamodb.create_table(
            TableName=NAME,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=keys("pk", "sk"),
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
            GlobalSecondaryIndexes=[
                {"IndexName": name, "KeySchema": keys(*pair), "Projection": {"ProjectionType": "KEYS_ONLY"}}
                for name, pair in indexes.items()
            ],
        )
    except dynamodb.exceptions.ResourceInUseException:
        pass
    dynamodb.get_waiter("table_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    ttl = dynamodb.describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        dynamodb.update_time_to_live(TableName=NAME, TimeToLiveSpecification={"Enabled": True, "AttributeName": "_expires"})


def queues():
    sqs = client("sqs")
    dead = sqs.create_queue(QueueName=f"{NAME}-dead", Attributes={"MessageRetentionPeriod": str(14 * 86400)})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    attributes = {
        "VisibilityTimeout": str(6 * WORKER_SECONDS),
        "MessageRetentionPeriod": str(14 * 86400),
        "ReceiveMessageWaitTimeSeconds": "20",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 10}),
    }
    queue = sqs.create_queue(QueueName=NAME, Attributes=attributes)["QueueUrl"]
    return queue, dead


def values():
    manager = client("secretsmanager")
    for name, value in VALUES.items():
        try:
            manager.create_secret(Name=f"{NAME}/{name}", SecretString=value)
        except manager.exceptions.ResourceExistsException:
            pass


def configuration(queue, dead):
    """The sections that lead the program here."""
    return "\n".join([
        "[aws]",
        f'region = "{REGION}"',
        f'endpoint = "{ENDPOINT}"',
        f'table = "{NAME}"',
        f'queue = "{queue}"',
        f'dead_letter_queue = "{dead}"',
        "",
        "[serve]",
        f'webhook_secrets = ["aws:{NAME}/webhook", "aws:{NAME}/webhook#@AWSPREVIOUS"]',
        "",
    ])


def create():
    table()
    queue, dead = queues()
    values()
    text = configuration(queue, dead)
    path = os.environ.get("CODEHEALER_LOCAL_CONFIG")
    if path:
        with open(path, "w") as file:
            file.write(text)
    print(f"created: table {NAME}, queues {NAME} and {NAME}-dead, secrets {', '.join(sorted(VALUES))}\n\n{text}")


create()
