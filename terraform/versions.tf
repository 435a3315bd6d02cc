# What runs this root, and how AWS is reached.

terraform {
  required_version = ">= 1.10.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # State is a file in this folder until scripts/bootstrap_terraform.sh makes a bucket for it and writes backend.tf.
}

provider "aws" {
  region = var.region

  # An emulator, for tests: nothing but `endpoint_url` makes it one. AWS itself is asked for all of this.
  access_key                  = var.endpoint_url == null ? null : "test"
  secret_key                  = var.endpoint_url == null ? null : "test"
  skip_credentials_validation = var.endpoint_url != null
  skip_metadata_api_check     = var.endpoint_url != null

  default_tags {
    tags = local.tags
  }

  dynamic "endpoints" {
    for_each = var.endpoint_url == null ? [] : [var.endpoint_url]
    content {
      apigateway             = endpoints.value
      applicationautoscaling = endpoints.value
      budgets                = endpoints.value
      cloudformation         = endpoints.value
      cloudwatch             = endpoints.value
      cloudwatchlogs         = endpoints.value
      dynamodb               = endpoints.value
      eventbridge            = endpoints.value
      iam                    = endpoints.value
      kms                    = endpoints.value
      lambda                 = endpoints.value
      opensearch             = endpoints.value
      route53                = endpoints.value
      sagemaker              = endpoints.value
      secretsmanager         = endpoints.value
      sns                    = endpoints.value
      sqs                    = endpoints.value
      sts                    = endpoints.value
      wafv2                  = endpoints.value
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
