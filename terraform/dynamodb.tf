# State and audit trail: one table. Keys, indexes and the attribute of expiry are those of src/aws/dynamodb/table.rs, which
# `codehealer doctor` compares with what is there.

locals {
  indexes = ["due", "repository", "issue_type", "outcome"]
  # Items of a case and of a push: the heads, and every event of the trail.
  trail = ["CASE#*", "PUSH#*"]
}

resource "aws_dynamodb_table" "this" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = concat(["pk", "sk"], flatten([for index in local.indexes : ["_${index}_hash", "_${index}_range"]]))
    content {
      name = attribute.value
      type = "S"
    }
  }

  # Keys only: a head is written at each step of its run and would otherwise be written to four indexes each time.
  dynamic "global_secondary_index" {
    for_each = local.indexes
    content {
      name            = global_secondary_index.value
      hash_key        = "_${global_secondary_index.value}_hash"
      range_key       = "_${global_secondary_index.value}_range"
      projection_type = "KEYS_ONLY"
    }
  }

  ttl {
    attribute_name = "_expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  # Always encrypted; with AWS's own key unless one is given.
  dynamic "server_side_encryption" {
    for_each = local.has_kms_key ? [local.kms_key_arn] : []
    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}

# Nobody alters the trail: a table's own policy holds for administrators too, until they take the policy away, which CloudTrail
# records.
#
# What IAM cannot say: it sees a request's partition key, not its sort key and not what is stored. An event shares its
# partition with the head of its case, which the worker must replace, so a policy cannot tell a new event from one that overwrites
# another. The worker's own writes of events carry the condition that there is none yet, and `codehealer audit verify` follows the
# chain of hashes, which no overwritten event survives.
resource "aws_dynamodb_resource_policy" "trail" {
  resource_arn = aws_dynamodb_table.this.arn
  policy       = local.trail_policy
}

locals {
  trail_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "NothingIsAlteredInPlace"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = ["dynamodb:UpdateItem", "dynamodb:PartiQLUpdate"]
        Resource  = local.table_arn
      },
      {
        Sid       = "NoEventIsDeleted"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = ["dynamodb:DeleteItem", "dynamodb:PartiQLDelete", "dynamodb:BatchWriteItem"]
        Resource  = local.table_arn
        Condition = { "ForAnyValue:StringLike" = { "dynamodb:LeadingKeys" = local.trail } }
      },
      {
        Sid       = "OnlyKnownWriters"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLDelete"]
        Resource  = local.table_arn
        Condition = {
          ArnNotEquals = { "aws:PrincipalArn" = concat(["arn:${local.partition}:iam::${local.account}:role/${local.worker_name}"], var.table_writers) }
          # DynamoDB itself drops items whose time is over.
          Bool = { "aws:PrincipalIsAWSService" = "false" }
        }
      },
    ]
  })
}
