# Logs, alarms, and a dashboard. CodeHealer's own metrics come out of its log lines (CloudWatch's embedded metric format, namespace
# CodeHealer); their names are those of src/entry/lambda/metrics.rs. They carry no deployment's name: two deployments in one region add up.

resource "aws_cloudwatch_log_group" "receiver" {
  # checkov:skip=CKV_AWS_338:how long is a variable (log_retention_days); the audit trail is not in the logs
  name              = local.receiver_logs
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_cloudwatch_log_group" "worker" {
  # checkov:skip=CKV_AWS_338:how long is a variable (log_retention_days); the audit trail is not in the logs
  name              = local.worker_logs
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_cloudwatch_log_group" "api" {
  # checkov:skip=CKV_AWS_338:how long is a variable (log_retention_days); the audit trail is not in the logs
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}

# API Gateway would make it by itself, and keep it for ever.
resource "aws_cloudwatch_log_group" "api_errors" {
  # checkov:skip=CKV_AWS_338:how long is a variable (log_retention_days); the audit trail is not in the logs
  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this.id}/${local.stage}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:alarms name numbers only, and AWS's own key for topics cannot be used by CloudWatch; your own key is used where one is given
  count             = var.alarms.email == null ? 0 : 1
  name              = "${var.name}-alarms"
  kms_master_key_id = local.kms_key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  count = var.alarms.email == null ? 0 : 1
  arn   = one(aws_sns_topic.alarms[*].arn)
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Alarms"
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = "arn:${local.partition}:sns:${local.scope}:${var.name}-alarms"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# AWS sends a mail with a link that must be followed once.
resource "aws_sns_topic_subscription" "alarms" {
  count     = var.alarms.email == null ? 0 : 1
  topic_arn = one(aws_sns_topic.alarms[*].arn)
  protocol  = "email"
  endpoint  = var.alarms.email
}

locals {
  api_dimensions      = { ApiName = var.name, Stage = local.stage }
  receiver_dimensions = { FunctionName = local.receiver_name }
  worker_dimensions   = { FunctionName = local.worker_name }
  five_minutes        = 300

  # Each says what it means; what to do is in docs/OPERATING.md under the alarm's name.
  alarms = merge(
    {
      api-5xx = {
        says      = "More than 10 requests in 5 minutes were answered with a server error: deliveries are lost until the next reconciliation."
        namespace = "AWS/ApiGateway", metric = "5XXError", dimensions = local.api_dimensions
        statistic = "Sum", threshold = 10
      }
      api-4xx = {
        says      = "More than 20 requests in 5 minutes were refused: a wrong webhook secret, a repository that is not watched, or a stranger."
        namespace = "AWS/ApiGateway", metric = "4XXError", dimensions = local.api_dimensions
        statistic = "Sum", threshold = 20
      }
      api-latency = {
        says      = "One request in a hundred takes longer than 5 seconds. GitHub gives up after 10."
        namespace = "AWS/ApiGateway", metric = "Latency", dimensions = local.api_dimensions
        statistic = "p99", threshold = 5000
      }
      receiver-errors = {
        says      = "The receiver failed: its configuration or its secret, most of the time."
        namespace = "AWS/Lambda", metric = "Errors", dimensions = local.receiver_dimensions
        statistic = "Sum", threshold = 0
      }
      worker-errors = {
        says      = "The worker failed more than 3 times in 5 minutes. Tasks are tried again."
        namespace = "AWS/Lambda", metric = "Errors", dimensions = local.worker_dimensions
        statistic = "Sum", threshold = 3
      }
      receiver-throttles = {
        says      = "Lambda had no instance left for the receiver: deliveries are lost until the next reconciliation."
        namespace = "AWS/Lambda", metric = "Throttles", dimensions = local.receiver_dimensions
        statistic = "Sum", threshold = 0
      }
      worker-throttles = {
        says      = "Lambda had no instance left for the worker more than 10 times in 5 minutes. Tasks wait."
        namespace = "AWS/Lambda", metric = "Throttles", dimensions = local.worker_dimensions
        statistic = "Sum", threshold = 10
      }
      queue-age = {
        says      = "A task has waited for longer than an hour."
        namespace = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = var.name }
        statistic = "Maximum", threshold = 3600
      }
      dead-letters = {
        says      = "A task could not be worked on and lies in the dead-letter queue: it needs a person."
        namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = local.dead_name }
        statistic = "Maximum", threshold = 0
      }
      tasks-put-aside = {
        says      = "A task was put aside after too many failures, or cannot be read. The log says why."
        namespace = "CodeHealer", metric = "TasksPutAside", dimensions = {}
        statistic = "Sum", threshold = 0
      }
      tasks-retried = {
        says      = "More than 50 tasks in 5 minutes had to be tried again: a service is down or throttles."
        namespace = "CodeHealer", metric = "TasksRetried", dimensions = {}
        statistic = "Sum", threshold = 50
      }
      breaker-open = {
        says      = "A service failed so often that it is left alone for a while: the log of the worker names it."
        namespace = "CodeHealer/Log", metric = local.breaker_metric, dimensions = {}
        statistic = "Sum", threshold = 0
      }
      table-throttles = {
        says      = "DynamoDB throttled writes of the table: the account's or the table's limit is reached."
        namespace = "AWS/DynamoDB", metric = "WriteThrottleEvents", dimensions = { TableName = var.name }
        statistic = "Sum", threshold = 10
      }
    },
    local.model_endpoint == null ? {} : {
      model-errors = {
        says      = "The model's endpoint answered more than 10 requests in 5 minutes with an error."
        namespace = "AWS/SageMaker", metric = "Invocation5XXErrors", dimensions = { EndpointName = local.model_endpoint, VariantName = local.variant }
        statistic = "Sum", threshold = 10
      }
    },
    !var.opensearch.create ? {} : {
      memory-red = {
        says      = "The OpenSearch domain cannot answer for all of its data."
        namespace = "AWS/ES", metric = "ClusterStatus.red", dimensions = { DomainName = var.name, ClientId = local.account }
        statistic = "Maximum", threshold = 0
      }
      memory-full = {
        says      = "The OpenSearch domain refuses writes: its disk is nearly full."
        namespace = "AWS/ES", metric = "ClusterIndexWritesBlocked", dimensions = { DomainName = var.name, ClientId = local.account }
        statistic = "Maximum", threshold = 0
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each           = local.alarms
  alarm_name         = "${var.name}-${each.key}"
  alarm_description  = each.value.says
  namespace          = each.value.namespace
  metric_name        = each.value.metric
  dimensions         = each.value.dimensions
  statistic          = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic = startswith(each.value.statistic, "p") ? each.value.statistic : null
  # A handful of slow requests on a quiet day is no percentile.
  evaluate_low_sample_count_percentiles = startswith(each.value.statistic, "p") ? "ignore" : null
  period                                = local.five_minutes
  evaluation_periods                    = 1
  comparison_operator                   = "GreaterThanThreshold"
  threshold                             = each.value.threshold
  treat_missing_data                    = "notBreaching"
  alarm_actions                         = local.tells
  ok_actions                            = local.tells
}

# Runs that wait because a source cannot be asked or a limit is reached, whatever was decided of them.
resource "aws_cloudwatch_metric_alarm" "deferred" {
  alarm_name          = "${var.name}-runs-deferred"
  alarm_description   = "More than 20 runs in an hour were put off: a source is down, or a budget is spent."
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = 1
  threshold           = 20
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tells
  ok_actions          = local.tells

  metric_query {
    id          = "deferred"
    label       = "runs put off"
    period      = 3600
    return_data = true
    expression  = "SELECT SUM(Runs) FROM SCHEMA(\"CodeHealer\", Decision, State) WHERE State = 'deferred'"
  }
}

# The budget that grows without anybody's doing: tokens of the model.
resource "aws_cloudwatch_metric_alarm" "tokens" {
  count               = var.alarms.daily_tokens > 0 ? 1 : 0
  alarm_name          = "${var.name}-model-tokens"
  alarm_description   = "The model was given and wrote more than ${var.alarms.daily_tokens} tokens within a day."
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = 1
  threshold           = var.alarms.daily_tokens
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tells

  metric_query {
    id          = "tokens"
    label       = "tokens a day"
    expression  = "FILL(given, 0) + FILL(written, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { given = "ModelInputTokens", written = "ModelOutputTokens" }
    content {
      id = metric_query.key

      metric {
        namespace   = "CodeHealer"
        metric_name = metric_query.value
        stat        = "Sum"
        period      = 86400
      }
    }
  }
}

locals {
  breaker_metric = "${var.name}-breaker-open"
}

# A breaker that is open has no metric of its own; the worker's log says so with these words each time it leaves a service alone
# (src/healer/quota.rs; tests/integration/deployment/alarms.rs holds the two together).
resource "aws_cloudwatch_log_metric_filter" "breaker" {
  name           = "${var.name}-breaker-open"
  log_group_name = aws_cloudwatch_log_group.worker.name
  pattern        = "\"a circuit breaker is open\""

  metric_transformation {
    namespace = "CodeHealer/Log"
    name      = local.breaker_metric
    value     = "1"
    unit      = "Count"
  }
}

resource "aws_budgets_budget" "monthly" {
  count        = var.alarms.monthly_budget > 0 ? 1 : 0
  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.alarms.monthly_budget)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  # `Application` must be activated as a cost allocation tag, in the billing console, once.
  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:Application$%s", var.name)]
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = notification.key
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.alarms.email == null ? [] : [var.alarms.email]
      subscriber_sns_topic_arns  = var.alarms.email == null ? var.alarms.topic_arns : []
    }
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  count          = var.dashboard ? 1 : 0
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for n, widget in local.widgets : {
      type   = "metric"
      x      = 12 * (n % 2)
      y      = 6 * floor(n / 2)
      width  = 12
      height = 6
      properties = {
        title   = widget.title
        region  = var.region
        view    = "timeSeries"
        stacked = false
        period  = 300
        stat    = widget.stat
        metrics = widget.metrics
      }
    }]
  })
}

locals {
  widgets = [
    {
      title   = "Deliveries by what was answered", stat = "Sum"
      metrics = [[{ expression = "SEARCH('{CodeHealer,Outcome} MetricName=\"Deliveries\"', 'Sum', 300)", label = "", id = "deliveries" }]]
    },
    {
      title   = "Answer to a delivery, milliseconds", stat = "p99"
      metrics = [["CodeHealer", "ReceiverLatency"], ["AWS/ApiGateway", "Latency", "ApiName", var.name, "Stage", local.stage]]
    },
    {
      title   = "Runs by state and decision", stat = "Sum"
      metrics = [[{ expression = "SEARCH('{CodeHealer,State,Decision} MetricName=\"Runs\"', 'Sum', 300)", label = "", id = "runs" }]]
    },
    {
      title   = "Findings and scanned files", stat = "Sum"
      metrics = [["CodeHealer", "Findings"], ["CodeHealer", "ScannedFiles"]]
    },
    {
      title   = "Tasks", stat = "Sum"
      metrics = [["CodeHealer", "TasksDone"], ["CodeHealer", "TasksRetried"], ["CodeHealer", "TasksPutAside"], ["CodeHealer", "TasksLeft"]]
    },
    {
      title = "Queue and dead letters", stat = "Maximum"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.name],
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.name, { yAxis = "right" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.dead_name],
      ]
    },
    {
      title   = "Time to heal a case, milliseconds", stat = "p90"
      metrics = [["CodeHealer", "ExecutionTime"]]
    },
    {
      title   = "Tokens of the model", stat = "Sum"
      metrics = [["CodeHealer", "ModelInputTokens"], ["CodeHealer", "ModelOutputTokens"]]
    },
    {
      title   = "Functions", stat = "Sum"
      metrics = [for pair in setproduct([local.receiver_name, local.worker_name], ["Invocations", "Errors", "Throttles"]) : ["AWS/Lambda", pair[1], "FunctionName", pair[0]]]
    },
    {
      title   = "Table, capacity units", stat = "Sum"
      metrics = [["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", var.name], ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", var.name]]
    },
  ]
}
