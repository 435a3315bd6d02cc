# The firewall, where it is asked for. It looks at addresses only: rules that read bodies would take the code in commit messages and
# comments for an attack, and a webhook that is refused is lost.

resource "aws_wafv2_web_acl" "this" {
  # checkov:skip=CKV_AWS_192:that rule reads bodies, which quote code; nothing here is Java
  count       = var.waf ? 1 : 0
  name        = var.name
  description = "Before the webhook of ${var.name}"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  rule {
    name     = "rate"
    priority = 1

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit              = var.waf_rate
        aggregate_key_type = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-rate"
      sampled_requests_enabled   = false
    }
  }

  rule {
    name     = "bad-addresses"
    priority = 2

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        vendor_name = "AWS"
        name        = "AWSManagedRulesAmazonIpReputationList"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-bad-addresses"
      sampled_requests_enabled   = false
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count        = var.waf ? 1 : 0
  resource_arn = aws_api_gateway_stage.this.arn
  web_acl_arn  = one(aws_wafv2_web_acl.this[*].arn)
}

resource "aws_cloudwatch_log_group" "waf" {
  # checkov:skip=CKV_AWS_338:how long is a variable; these are addresses of strangers, kept no longer than needed
  count             = var.waf ? 1 : 0
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  count                   = var.waf ? 1 : 0
  resource_arn            = one(aws_wafv2_web_acl.this[*].arn)
  log_destination_configs = aws_cloudwatch_log_group.waf[*].arn

  # What was let through is in the API's access log.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }

  redacted_fields {
    single_header {
      name = "x-hub-signature-256"
    }
  }
}
