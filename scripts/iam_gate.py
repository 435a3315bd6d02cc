"""A gate before an emulator of AWS that lets a role do what its policies allow, and nothing else.

The emulator's own check asks no resource and knows a transaction as one action of a name that IAM does not have. Here each request is
taken apart into the actions and resources that AWS documents for it, and each pair is put to the policies as they were applied; what
an action matches is told by moto's evaluator. Who has another access key passes unasked. What is asked is noted, and so is what was refused.
"""
import fnmatch
import http.client
import http.server
import json
import re
import threading
import urllib.parse

from moto.iam.access_control import IAMPolicy, PermissionResult

ACCOUNT = "123456789012"
# Writes of a transaction, each with the action that IAM asks for it.
TRANSACTED = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
# Calls whose action has another name, or which IAM knows by the single one.
CALLED = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage", "ChangeMessageVisibilityBatch": "ChangeMessageVisibility"}


class Unknown(Exception):
    """A call that nobody taught the gate: it is refused, so that it is not overlooked."""


class Gate:
    def __init__(self, emulator, region, roles, secrets):
        """`roles`: access key to (name, policies as applied). `secrets`: the ARN of each secret by its name."""
        self.region, self.roles, self.secrets = region, roles, secrets
        self.used = {name: set() for name, _ in roles.values()}
        self.refused = []
        self.lock = threading.Lock()
        there = urllib.parse.urlsplit(emulator)
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                why = gate.refuse(self.headers, body)
                if why:
                    answer = json.dumps({"__type": "AccessDeniedException", "message": why, "Message": why}).encode()
                    return self.reply(400, [("Content-Type", "application/x-amz-json-1.0")], answer)
                onward = http.client.HTTPConnection(there.hostname, there.port, timeout=60)
                onward.request("POST", self.path, body, {n: v for n, v in self.headers.items() if n.lower() not in ("host", "connection")} | {"Host": there.netloc})
                got = onward.getresponse()
                answer = got.read()
                kept = [(n, v) for n, v in got.getheaders() if n.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server")]
                onward.close()
                self.reply(got.status, kept, answer)

            def reply(self, status, headers, body):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuse(self, headers, body):
        """Why this request is not let through; empty when it is."""
        key = re.search(r"Credential=([^/,]+)/", headers.get("Authorization", ""))
        role = self.roles.get(key.group(1)) if key else None
        if role is None:
            return ""
        name, policies = role
        target = headers.get("X-Amz-Target", "")
        try:
            asked = self.asked(target, json.loads(body or b"{}"))
        except Unknown as error:
            with self.lock:
                self.refused.append(f"{name}: {error}")
            return str(error)
        for action, resource, values in asked:
            with self.lock:
                self.used[name].add(action)
            if not allowed(policies, action, resource, values):
                with self.lock:
                    self.refused.append(f"{name}: {action} on {resource}")
                return f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{name} is not authorized to perform: {action} on resource: {resource}"
        return ""

    def asked(self, target, body):
        """The actions of a call, each with its resource and what conditions look at."""
        service, _, call = target.rpartition(".")
        if service == "AmazonSQS":
            queue = body["QueueUrl"].rsplit("/", 1)[1]
            return [(f"sqs:{CALLED.get(call, call)}", f"arn:aws:sqs:{self.region}:{ACCOUNT}:{queue}", {})]
        if service == "secretsmanager":
            name = body["SecretId"]
            arn = name if name.startswith("arn:") else self.secrets.get(name, f"arn:aws:secretsmanager:{self.region}:{ACCOUNT}:secret:{name}-none")
            return [(f"secretsmanager:{call}", arn, {})]
        if service.startswith("DynamoDB"):
            return list(self.of_table(call, body))
        raise Unknown(f"{target or 'a call without a target'} is a call that this gate does not know")

    def of_table(self, call, body):
        def arn(table):
            return f"arn:aws:dynamodb:{self.region}:{ACCOUNT}:table/{table}"

        def of(one, action):
            key = (one.get("Key") or one.get("Item") or {}).get("pk", {}).get("S")
            return f"dynamodb:{action}", arn(one["TableName"]), {"dynamodb:LeadingKeys": [key] if key else []}

        if call == "TransactWriteItems":
            for write in body["TransactItems"]:
                for kind, one in write.items():
                    yield of(one, TRANSACTED[kind])
        elif call == "TransactGetItems":
            for read in body["TransactItems"]:
                yield of(read["Get"], "GetItem")
        elif call == "BatchGetItem":
            for table in body["RequestItems"]:
                yield "dynamodb:BatchGetItem", arn(table), {}
        elif call == "Query" and "IndexName" in body:
            yield "dynamodb:Query", f"{arn(body['TableName'])}/index/{body['IndexName']}", {}
        elif "TableName" in body:
            yield of(body, call)
        else:
            raise Unknown(f"DynamoDB's {call} is a call that this gate does not know")


def allowed(policies, action, resource, values):
    """Whether a statement of the policies allows it whose conditions hold."""
    for policy in policies:
        for statement in policy["Statement"]:
            if not holds(statement.get("Condition", {}), values):
                continue
            # The evaluator takes a question mark for a pattern of its own: names are compared here.
            named = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            if not any(fnmatch.fnmatchcase(resource, pattern) for pattern in named):
                continue
            bare = {key: value for key, value in statement.items() if key != "Condition"} | {"Resource": "*"}
            document = json.dumps({"Version": policy["Version"], "Statement": [bare]})
            if IAMPolicy(document).is_action_permitted(action) == PermissionResult.PERMITTED:
                return True
    return False


def holds(conditions, values):
    """Of the conditions that our policies have; another one is an error, not a pass."""
    for operator, pairs in conditions.items():
        for key, wanted in pairs.items():
            given = values.get(key)
            if operator == "Null":
                if (given is None or given == []) != (str(wanted) == "true"):
                    return False
            elif operator == "ForAllValues:StringLike":
                patterns = wanted if isinstance(wanted, list) else [wanted]
                if not all(any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns) for value in given or []):
                    return False
            elif key == "kms:ViaService":
                # The emulator has no service that uses a key in somebody's name.
                return False
            else:
                raise Unknown(f"the condition {operator} on {key} is one that this gate does not know")
    return True
