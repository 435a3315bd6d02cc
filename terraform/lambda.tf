# One program, two functions. Both read the same configuration; their roles decide what each can do.

resource "aws_lambda_function" "receiver" {
  # checkov:skip=CKV_AWS_50:traces go to X-Ray only with a right on all resources; every log line carries the request's id instead
  # checkov:skip=CKV_AWS_115:the API's throttle bounds it; reserving instances fails in accounts with few of them, so it is a variable
  # checkov:skip=CKV_AWS_116:it is called synchronously only, so Lambda never keeps an event to put aside
  # checkov:skip=CKV_AWS_117:it reaches only AWS's own services; a VPC would need a NAT gateway (see the variable vpc)
  # checkov:skip=CKV_AWS_272:the package is built here from this repository; a signing profile belongs to the account that distributes it
  function_name                  = local.receiver_name
  description                    = "Verifies what GitHub delivers and enqueues it"
  role                           = aws_iam_role.receiver.arn
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  handler                        = "bootstrap"
  runtime                        = "provided.al2023"
  architectures                  = ["arm64"]
  memory_size                    = var.receiver.memory
  timeout                        = var.receiver.timeout
  reserved_concurrent_executions = var.receiver.reserved == null ? -1 : var.receiver.reserved
  kms_key_arn                    = local.kms_key_arn

  environment {
    variables = merge(local.environment, { CODEHEALER_ROLE = "receiver" })
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.receiver.name
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  lifecycle {
    precondition {
      condition     = local.fits
      error_message = local.too_large
    }
  }

  depends_on = [aws_iam_role_policy.receiver, aws_iam_role_policy.vpc]
}

resource "aws_lambda_function" "worker" {
  # checkov:skip=CKV_AWS_50:traces go to X-Ray only with a right on all resources; every log line carries the request's id instead
  # checkov:skip=CKV_AWS_115:maximum_concurrency of the queue bounds it; reserving instances fails in accounts with few of them
  # checkov:skip=CKV_AWS_116:tasks have their dead-letter queue; a schedule that failed is done by the next one
  # checkov:skip=CKV_AWS_117:it must reach GitHub and Slack; a VPC would need a NAT gateway (see the variable vpc)
  # checkov:skip=CKV_AWS_272:the package is built here from this repository; a signing profile belongs to the account that distributes it
  function_name                  = local.worker_name
  description                    = "Scans pushes and heals what they brought in"
  role                           = aws_iam_role.worker.arn
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  handler                        = "bootstrap"
  runtime                        = "provided.al2023"
  architectures                  = ["arm64"]
  memory_size                    = var.worker.memory
  timeout                        = var.worker.timeout
  reserved_concurrent_executions = var.worker.reserved == null ? -1 : var.worker.reserved
  kms_key_arn                    = local.kms_key_arn

  environment {
    variables = merge(local.environment, { CODEHEALER_ROLE = "worker" })
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.worker.name
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  lifecycle {
    precondition {
      condition     = local.fits
      error_message = local.too_large
    }
  }

  depends_on = [aws_iam_role_policy.worker, aws_iam_role_policy.vpc]
}

resource "aws_lambda_event_source_mapping" "tasks" {
  event_source_arn        = aws_sqs_queue.tasks.arn
  function_name           = aws_lambda_function.worker.arn
  batch_size              = var.worker.batch
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.worker.concurrency
  }

  # Lambda asks the queue with the worker's rights when this is made.
  depends_on = [aws_iam_role_policy.worker]
}

# A schedule that fails is not tried again: the next one does the same.
resource "aws_lambda_function_event_invoke_config" "worker" {
  function_name                = aws_lambda_function.worker.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = max(60, 60 * var.reconcile_minutes)
}

locals {
  environment = {
    CODEHEALER_CONFIG_TEXT = local.configuration
    CODEHEALER_LOG         = var.log_level
  }

  # Lambda takes 4 KB of variables in all.
  fits      = length(base64encode(local.configuration)) * 3 / 4 <= 3800
  too_large = "The configuration does not fit into the 4 KB that Lambda gives to variables: name fewer repositories in one deployment, or fewer channels and reviewers."
}
