#!/usr/bin/env python3
"""What a deployment costs, from what Terraform plans: idle, for each push and each finding, and in a month of use.

    terraform show -json FILE > plan.json
    scripts/cost.py plan.json                       prints a table
    scripts/cost.py --write docs/COST.md DEV PROD   brings the tables of the page up to date
    scripts/cost.py --check docs/COST.md DEV PROD   ends with 1 where they are not

Prices and assumptions are data: scripts/prices.json. A resource that bills by the hour and has no price there is an error, not a zero.
"""
import json
import re
import sys
from pathlib import Path

BOOK = json.loads((Path(__file__).resolve().parent / "prices.json").read_text())
USE = BOOK["use"]
HOURS = BOOK["hours_a_month"]
# What bills only for its use, or not at all.
WITHOUT_PRICE = re.compile(
    r"^aws_(api_gateway_\w+|appautoscaling_\w+|budgets_budget|cloudwatch_(event_\w+|log_group|log_metric_filter|log_resource_policy)|dynamodb_resource_policy|iam_\w+|kms_alias"
    r"|lambda_\w+|opensearch_domain_policy|route53_record|sagemaker_model|sns_\w+|sqs_\w+|wafv2_web_acl_(association|logging_configuration))$"
)


def price(name):
    return BOOK["prices"][name]["usd"]


def hourly(kind):
    if kind not in BOOK["hourly"]:
        sys.exit(f"cost: {kind} has no price: look it up and add it to scripts/prices.json")
    return BOOK["hourly"][kind]["usd"]


def resources(module):
    yield from (r for r in module.get("resources", []) if r["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from resources(child)


class Deployment:
    def __init__(self, shown):
        planned = shown.get("planned_values") or shown.get("values")
        if not planned:
            sys.exit("cost: this is no output of `terraform show -json` of a plan or a state")
        self.all = list(resources(planned["root_module"]))
        one = lambda suffix: next(r["values"] for r in self.all if r["type"] == "aws_lambda_function" and r["name"] == suffix)
        self.receiver_gb, self.worker_gb = one("receiver")["memory_size"] / 1024, one("worker")["memory_size"] / 1024
        rule = next(r["values"] for r in self.all if r["type"] == "aws_cloudwatch_event_rule")
        self.minutes = int(re.search(r"rate\((\d+) minute", rule["schedule_expression"]).group(1))
        self.waf = self.count("aws_wafv2_web_acl") > 0

    def count(self, kind):
        return sum(r["type"] == kind for r in self.all)

    def standing(self):
        """Dollars a month of everything that bills by time, by what it is."""
        bill = {}

        def add(what, usd):
            bill[what] = bill.get(what, 0) + usd

        for resource in self.all:
            kind, values = resource["type"], resource["values"]
            if kind == "aws_cloudwatch_metric_alarm":
                fast = (values.get("period") or 60) < 60
                add("alarms", price("fast_alarm") if fast else price("alarm") * max(1, sum("metric" in q and bool(q["metric"]) for q in values.get("metric_query") or [])))
            elif kind == "aws_cloudwatch_dashboard":
                add("dashboard", price("dashboard"))
            elif kind == "aws_secretsmanager_secret":
                add("secrets", price("secret"))
            elif kind == "aws_kms_key":
                add("key", price("kms_key"))
            elif kind == "aws_wafv2_web_acl":
                add("firewall", price("waf_acl") + price("waf_rule") * len(values["rule"]))
            elif kind == "aws_opensearch_domain":
                cluster, disk = values["cluster_config"][0], values["ebs_options"][0]
                add("OpenSearch", cluster["instance_count"] * (hourly(cluster["instance_type"]) * HOURS + disk["volume_size"] * price("opensearch_gb")))
            elif kind == "aws_dynamodb_table":
                backup = price("dynamodb_backup_gb") if values["point_in_time_recovery"][0]["enabled"] else 0
                add("table", USE["table_gb"] * (price("dynamodb_gb") + backup))
            elif kind == "aws_cloudformation_stack":
                self.model_hour()
            elif not WITHOUT_PRICE.match(kind):
                sys.exit(f"cost: {resource['address']}: it is not known what a {kind} costs: teach scripts/cost.py")
        runs = HOURS * 60 / self.minutes
        add("schedule", runs * (self.worker(USE["reconcile"]) + price("lambda_request")))
        add("polling the queue", USE["polls_a_month"] * price("sqs_request"))
        add("reading secrets", USE["secret_reads_a_month"] * price("secret_request"))
        return bill

    def worker(self, use):
        """Dollars of one piece of the worker's work."""
        return (
            use["worker_seconds"] * self.worker_gb * price("lambda_gb_second") + use.get("sqs_requests", 0) * price("sqs_request")
            + use.get("writes", 0) * price("dynamodb_write") + use["reads"] * price("dynamodb_read") + use["log_kb"] / 1e6 * price("log_gb")
        )

    def push(self):
        use = USE["push"]
        request = price("api_request") + (price("waf_request") if self.waf else 0)
        receiver = use["receiver_seconds"] * self.receiver_gb * price("lambda_gb_second")
        return request + receiver + 2 * price("lambda_request") + self.worker(use)

    def finding(self):
        return self.worker(USE["finding"]) + price("lambda_request")

    def model(self):
        return next((json.loads(r["values"]["template_body"]) for r in self.all if r["type"] == "aws_cloudformation_stack"), None)

    def model_hour(self):
        variants = self.model()["Resources"]["Config"]["Properties"]["ProductionVariants"]
        return sum(hourly(variant["InstanceType"]) for variant in variants)

    def wake(self):
        """Dollars from the start of the model to its going to sleep again, for one question or many."""
        idle = next(r["values"] for r in self.all if r["type"] == "aws_appautoscaling_policy" and r["name"] == "model_load")
        seconds = idle["target_tracking_scaling_policy_configuration"][0]["scale_in_cooldown"]
        return self.model_hour() * (USE["model_start_minutes"] + seconds / 60) / 60

    def table(self):
        month, standing = USE["month"], self.standing()
        idle = sum(standing.values())
        rows = [("idle, a month", idle, ", ".join(f"{what} {usd:.2f}" for what, usd in sorted(standing.items(), key=lambda pair: -pair[1])))]
        rows.append(("1,000 pushes", 1000 * self.push(), f"{self.push():.6f} each"))
        rows.append(("1,000 findings, without a model", 1000 * self.finding(), f"{self.finding():.6f} each, with the most writes that a case may take"))
        metrics = month["metrics"] * month["metric_hours"] * price("metric_hour")
        used = month["pushes"] * self.push() + month["findings"] * self.finding() + metrics
        model = 0
        if self.model():
            model = month["model_wakes"] * self.wake()
            rows.append(("the model, each time that it wakes", self.wake(), f"{self.model_hour():.3f} an hour; nothing while it sleeps"))
            rows.append(("the model, if it never slept, a month", self.model_hour() * HOURS, "what scaling to zero saves"))
        told = f"{month['pushes']:,} pushes, {month['findings']:,} findings, metrics in {month['metric_hours']} hours"
        told += f", the model awake {month['model_wakes']} times" if self.model() else ""
        rows.append(("a month of use", idle + used + model, told))
        lines = ["| | US dollars | of it |", "|---|---:|---|"] + [f"| {name} | {usd:,.2f} | {why} |" for name, usd, why in rows]
        return "\n".join(lines)


def prices():
    lines = ["| what | US dollars | source |", "|---|---:|---|"]
    for entry in BOOK["prices"].values():
        lines.append(f"| {entry['what']} | {entry['usd']:.10f}".rstrip("0").rstrip(".") + f" | <{entry['source']}> |")
    for kind, entry in BOOK["hourly"].items():
        lines.append(f"| hour of {kind} | {entry['usd']} | <{entry['source']}> |")
    return "\n".join(lines)


def page(text, dev, prod):
    """The page with its tables replaced: each stands between two comments that name it."""
    for name, table in (("dev", Deployment(dev).table()), ("prod", Deployment(prod).table()), ("prices", prices())):
        pattern = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.S)
        if len(pattern.findall(text)) != 1:
            sys.exit(f"cost: the page has no place for the table {name}")
        text = pattern.sub(lambda found: found.group(1) + table + "\n" + found.group(2), text)
    return text


def main(arguments):
    read = lambda path: json.loads(Path(path).read_text())
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        print(Deployment(read(arguments[0])).table())
        return 0
    if len(arguments) != 4 or arguments[0] not in ("--write", "--check"):
        sys.exit(__doc__)
    path = Path(arguments[1])
    text = path.read_text()
    new = page(text, read(arguments[2]), read(arguments[3]))
    if arguments[0] == "--write":
        path.write_text(new)
    elif new != text:
        print(f"refused: the tables of {path} are not what the plans cost: run scripts/cost.py --write {' '.join(arguments[1:])}", file=sys.stderr)
        return 1
    print(f"{path}: the tables are those of the plans")
    return 0


sys.exit(main(sys.argv[1:]))
