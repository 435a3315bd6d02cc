# Every few minutes the worker looks for what no message tells of: heads that moved without a webhook, leases that ran out, retries
# that are due.

resource "aws_cloudwatch_event_rule" "reconcile" {
  name                = "${var.name}-reconcile"
  description         = "Lets ${local.worker_name} look for everything that time alone asks for"
  schedule_expression = "rate(${var.reconcile_minutes} minutes)"
}

# Without an input of its own the function gets EventBridge's plain scheduled event, which it knows.
resource "aws_cloudwatch_event_target" "reconcile" {
  rule = aws_cloudwatch_event_rule.reconcile.name
  arn  = aws_lambda_function.worker.arn
}

resource "aws_lambda_permission" "reconcile" {
  statement_id   = "Schedule"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.worker.function_name
  principal      = "events.amazonaws.com"
  source_arn     = aws_cloudwatch_event_rule.reconcile.arn
  source_account = local.account
}
