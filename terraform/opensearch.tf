# Memory: a domain of one's own, where it is asked for. It bills by the hour, used or not. CodeHealer makes its index itself.

resource "aws_opensearch_domain" "this" {
  # checkov:skip=CKV_AWS_318:dedicated masters are for clusters with three and more nodes that must not stop; lost memory is learned again
  # checkov:skip=CKV_AWS_137:inside a VPC the functions would need a NAT gateway; every request is signed, and only one role is let in
  # checkov:skip=CKV2_AWS_59:two nodes with one master each do for what can be learned again
  # checkov:skip=CKV_AWS_248:outside a VPC there are no security groups
  # checkov:skip=CKV_AWS_317:audit logs cost more than the domain; every write to the memory is an event of CodeHealer's own trail
  count          = var.opensearch.create ? 1 : 0
  domain_name    = var.name
  engine_version = var.opensearch.engine_version

  cluster_config {
    instance_type          = var.opensearch.instance_type
    instance_count         = var.opensearch.instance_count
    zone_awareness_enabled = var.opensearch.instance_count > 1

    dynamic "zone_awareness_config" {
      for_each = var.opensearch.instance_count > 1 ? [1] : []
      content {
        availability_zone_count = var.opensearch.instance_count % 3 == 0 ? 3 : 2
      }
    }
  }

  ebs_options {
    ebs_enabled = true
    volume_type = "gp3"
    volume_size = var.opensearch.volume_gb
  }

  encrypt_at_rest {
    enabled    = true
    kms_key_id = local.kms_key_arn
  }

  node_to_node_encryption {
    enabled = true
  }

  domain_endpoint_options {
    enforce_https       = true
    tls_security_policy = "Policy-Min-TLS-1-2-PFS-2023-10"
  }

  # The worker makes its index, so it is the domain's master; what it may ask for is narrowed by its policy in iam.tf.
  advanced_security_options {
    enabled                        = true
    anonymous_auth_enabled         = false
    internal_user_database_enabled = false

    master_user_options {
      master_user_arn = aws_iam_role.worker.arn
    }
  }

  software_update_options {
    auto_software_update_enabled = true
  }

  dynamic "log_publishing_options" {
    for_each = { ES_APPLICATION_LOGS = "errors", INDEX_SLOW_LOGS = "slow-index", SEARCH_SLOW_LOGS = "slow-search" }
    content {
      log_type                 = log_publishing_options.key
      cloudwatch_log_group_arn = aws_cloudwatch_log_group.opensearch[log_publishing_options.value].arn
    }
  }

  lifecycle {
    precondition {
      condition     = !startswith(var.opensearch.instance_type, "t2.")
      error_message = "opensearch.instance_type: t2 instances have neither encryption at rest nor fine-grained access. Take t3.small.search or larger."
    }
  }

  depends_on = [aws_cloudwatch_log_resource_policy.opensearch]
}

resource "aws_opensearch_domain_policy" "this" {
  count           = var.opensearch.create ? 1 : 0
  domain_name     = one(aws_opensearch_domain.this[*].domain_name)
  access_policies = local.domain_policy
}

locals {
  domain_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TheWorker"
      Effect    = "Allow"
      Principal = { AWS = "arn:${local.partition}:iam::${local.account}:role/${local.worker_name}" }
      Action    = ["es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut", "es:ESHttpDelete"]
      Resource  = ["${local.domain_arn}/${var.opensearch.index}", "${local.domain_arn}/${var.opensearch.index}/*"]
    }]
  })
}

resource "aws_cloudwatch_log_group" "opensearch" {
  # checkov:skip=CKV_AWS_338:how long is a variable (log_retention_days); the audit trail is not in the logs
  for_each          = var.opensearch.create ? toset(["errors", "slow-index", "slow-search"]) : toset([])
  name              = "/aws/opensearch/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_cloudwatch_log_resource_policy" "opensearch" {
  count       = var.opensearch.create ? 1 : 0
  policy_name = "${var.name}-opensearch"
  policy_document = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "es.amazonaws.com" }
      Action    = ["logs:PutLogEvents", "logs:CreateLogStream"]
      Resource  = "arn:${local.partition}:logs:${local.scope}:log-group:/aws/opensearch/${var.name}/*"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}
