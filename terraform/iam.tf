# What each function may do, and no more. docs/SECURITY.md has the table; scripts/check-policies holds every policy to it.

locals {
  trust = { for service in ["lambda", "apigateway", "sagemaker"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  }) }

  # A group's streams are named by Lambda.
  logs = { for role, group in { receiver = local.receiver_logs, worker = local.worker_logs } : role => {
    Sid      = "WriteItsLogs"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = "arn:${local.partition}:logs:${local.scope}:log-group:${group}:log-stream:*"
  } }

  receiver_statements = [
    {
      Sid      = "SendTasks"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = local.queue_arn
    },
    {
      Sid      = "ReadTheWebhookSecret"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = local.secret_arns["webhook"]
    },
    local.logs.receiver,
  ]

  worker_statements = concat(
    [
      {
        Sid      = "ReadAndWriteState"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem", "dynamodb:Query"]
        Resource = local.table_arn
      },
      {
        Sid      = "AskIndexes"
        Effect   = "Allow"
        Action   = ["dynamodb:Query"]
        Resource = [for index in local.indexes : "${local.table_arn}/index/${index}"]
      },
      {
        # Pause switches, cases that waited, the index of the chat. No event of the trail: see dynamodb.tf.
        Sid       = "DeleteWhatIsNoRecord"
        Effect    = "Allow"
        Action    = ["dynamodb:DeleteItem"]
        Resource  = local.table_arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["REPO#*", "SLACK#*"] }, Null = { "dynamodb:LeadingKeys" = "false" } }
      },
      {
        Sid      = "WorkOnTasks"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:SendMessage"]
        Resource = local.queue_arn
      },
      {
        Sid      = "PutTasksAside"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = local.dead_arn
      },
      {
        # Not the webhook's: who can read that can pretend to be GitHub.
        Sid      = "ReadItsSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [for key, arn in local.secret_arns : arn if key != "webhook"]
      },
      local.logs.worker,
    ],
    !local.has_opensearch ? [] : [
      {
        Sid    = "RememberFixes"
        Effect = "Allow"
        Action = ["es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut", "es:ESHttpDelete"]
        # The index and what is below it.
        Resource = ["${local.opensearch_arn}/${var.opensearch.index}", "${local.opensearch_arn}/${var.opensearch.index}/*"]
      },
    ],
    length(local.endpoints) == 0 ? [] : [
      {
        Sid    = "AskModels"
        Effect = "Allow"
        Action = ["sagemaker:InvokeEndpoint"]
        Resource = concat(
          [for name in local.endpoints : "arn:${local.partition}:sagemaker:${local.scope}:endpoint/${name}"],
          [for name in [local.model_component] : "arn:${local.partition}:sagemaker:${local.scope}:inference-component/${name}" if name != null],
        )
      },
    ],
  )
}

resource "aws_iam_role" "receiver" {
  name               = local.receiver_name
  description        = "May send to one queue and read the webhook secret"
  assume_role_policy = local.trust["lambda"]
}

resource "aws_iam_role_policy" "receiver" {
  name   = "receiver"
  role   = aws_iam_role.receiver.name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.receiver_statements })
}

resource "aws_iam_role" "worker" {
  name               = local.worker_name
  description        = "May work on the queue, keep state, and read the secrets that it needs"
  assume_role_policy = local.trust["lambda"]
}

resource "aws_iam_role_policy" "worker" {
  name   = "worker"
  role   = aws_iam_role.worker.name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.worker_statements })
}

# With a key of one's own both roles need it, each only by way of the services that it uses.
resource "aws_iam_role_policy" "key" {
  for_each = !local.has_kms_key ? {} : {
    receiver = { role = aws_iam_role.receiver.name, services = ["sqs", "secretsmanager"] }
    worker   = { role = aws_iam_role.worker.name, services = ["sqs", "secretsmanager", "dynamodb"] }
  }
  name = "key"
  role = each.value.role
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "UseTheKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = local.kms_key_arn
      Condition = { StringEquals = { "kms:ViaService" = [for service in each.value.services : "${service}.${var.region}.amazonaws.com"] } }
    }]
  })
}

# Inside a VPC Lambda makes network interfaces in the function's name. AWS knows no names for what is listed.
resource "aws_iam_role_policy" "vpc" {
  for_each = var.vpc == null ? {} : { receiver = aws_iam_role.receiver.name, worker = aws_iam_role.worker.name }
  name     = "vpc"
  role     = each.value
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LookAtTheNetwork"
        Effect   = "Allow"
        Action   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
        Resource = "*"
      },
      {
        Sid    = "MakeInterfaces"
        Effect = "Allow"
        Action = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
        Resource = concat(
          ["arn:${local.partition}:ec2:${local.scope}:network-interface/*"],
          [for id in try(var.vpc.subnet_ids, []) : "arn:${local.partition}:ec2:${local.scope}:subnet/${id}"],
          [for id in try(var.vpc.security_group_ids, []) : "arn:${local.partition}:ec2:${local.scope}:security-group/${id}"],
        )
      },
    ]
  })
}
