# An account that does not exist. What is not said here is made up by Terraform; ARNs are said, since the provider checks their form.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/made-up" }
}

mock_resource "aws_dynamodb_table" {
  defaults = { arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/made-up" }
}

mock_resource "aws_sqs_queue" {
  defaults = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:made-up"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/made-up"
  }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
}

mock_resource "aws_lambda_function" {
  defaults = {
    arn        = "arn:aws:lambda:eu-central-1:123456789012:function:made-up"
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:123456789012:function:made-up/invocations"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:made-up" }
}

mock_resource "aws_api_gateway_rest_api" {
  defaults = {
    id            = "api123"
    execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:api123"
  }
}

mock_resource "aws_api_gateway_stage" {
  defaults = {
    arn        = "arn:aws:apigateway:eu-central-1::/restapis/api123/stages/live"
    invoke_url = "https://api123.execute-api.eu-central-1.amazonaws.com/live"
  }
}

mock_resource "aws_wafv2_web_acl" {
  defaults = { arn = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/made-up/1" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:made-up" }
}

mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:eu-central-1:123456789012:rule/made-up" }
}

mock_resource "aws_opensearch_domain" {
  defaults = {
    arn      = "arn:aws:es:eu-central-1:123456789012:domain/made-up"
    endpoint = "search-made-up.eu-central-1.es.amazonaws.com"
  }
}

mock_resource "aws_appautoscaling_policy" {
  defaults = { arn = "arn:aws:autoscaling:eu-central-1:123456789012:scalingPolicy:1:policyName/made-up" }
}
