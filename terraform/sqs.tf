# Tasks from the receiver to the worker and from the worker to itself, and the queue for those that cannot be worked on.

resource "aws_sqs_queue" "tasks" {
  name                       = var.name
  visibility_timeout_seconds = local.visibility
  message_retention_seconds  = 14 * 24 * 3600
  max_message_size           = 262144
  receive_wait_time_seconds  = 20
  kms_master_key_id          = local.kms_key_arn
  sqs_managed_sse_enabled    = local.has_kms_key ? null : true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = var.max_receive_count
  })
}

# What lies here needs a person: docs/OPERATING.md says what to do. It is kept as long as SQS can.
resource "aws_sqs_queue" "dead" {
  name                      = local.dead_name
  message_retention_seconds = 14 * 24 * 3600
  max_message_size          = 262144
  kms_master_key_id         = local.kms_key_arn
  sqs_managed_sse_enabled   = local.has_kms_key ? null : true
}

# No other queue of the account puts its messages here. Emulators forget this attribute, and Terraform would wait for it.
resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  count     = var.endpoint_url == null ? 1 : 0
  queue_url = aws_sqs_queue.dead.url
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arn]
  })
}

resource "aws_sqs_queue_policy" "tls" {
  for_each  = { tasks = { url = aws_sqs_queue.tasks.url, arn = local.queue_arn }, dead = { url = aws_sqs_queue.dead.url, arn = local.dead_arn } }
  queue_url = each.value.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyOverTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
