# The address that GitHub calls: POST /webhook, and GET /health for probes. A REST API, since firewalls attach to those only.
#
# Sizes: API Gateway answers 413 above 10 MB, and Lambda takes 6 MB; a push of a thousand commits has less than 1 MB.

locals {
  routes = {
    # A request without a signature never reaches the function, and so costs next to nothing.
    webhook = { method = "POST", needs = ["X-Hub-Signature-256", "X-GitHub-Event"] }
    health  = { method = "GET", needs = [] }
  }
  # The two standard statements for "only from these addresses".
  sources_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Anybody"
        Effect    = "Allow"
        Principal = "*"
        Action    = "execute-api:Invoke"
        Resource  = "execute-api:/*"
      },
      {
        Sid       = "ExceptFromElsewhere"
        Effect    = "Deny"
        Principal = "*"
        Action    = "execute-api:Invoke"
        Resource  = "execute-api:/*"
        Condition = { NotIpAddress = { "aws:SourceIp" = var.webhook_sources } }
      },
    ]
  })
}

resource "aws_api_gateway_rest_api" "this" {
  name        = var.name
  description = "Where GitHub delivers webhooks for ${var.name}"
  policy      = length(var.webhook_sources) == 0 ? null : local.sources_policy

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_request_validator" "headers" {
  name                        = "headers"
  rest_api_id                 = aws_api_gateway_rest_api.this.id
  validate_request_parameters = true
}

resource "aws_api_gateway_resource" "route" {
  for_each    = local.routes
  rest_api_id = aws_api_gateway_rest_api.this.id
  parent_id   = aws_api_gateway_rest_api.this.root_resource_id
  path_part   = each.key
}

resource "aws_api_gateway_method" "route" {
  # checkov:skip=CKV_AWS_59:GitHub knows no AWS credentials; the receiver verifies its signature before it reads anything
  for_each             = local.routes
  rest_api_id          = aws_api_gateway_rest_api.this.id
  resource_id          = aws_api_gateway_resource.route[each.key].id
  http_method          = each.value.method
  authorization        = "NONE"
  request_validator_id = aws_api_gateway_request_validator.headers.id
  request_parameters   = { for header in each.value.needs : "method.request.header.${header}" => true }
}

resource "aws_api_gateway_integration" "route" {
  for_each                = local.routes
  rest_api_id             = aws_api_gateway_rest_api.this.id
  resource_id             = aws_api_gateway_resource.route[each.key].id
  http_method             = aws_api_gateway_method.route[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.receiver.invoke_arn
}

resource "aws_lambda_permission" "api" {
  for_each      = local.routes
  statement_id  = "Api${title(each.key)}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.receiver.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/${local.stage}/${each.value.method}/${each.key}"
}

resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id

  triggers = {
    redeployment = sha256(jsonencode([
      local.routes,
      var.webhook_sources,
      aws_api_gateway_resource.route,
      aws_api_gateway_method.route,
      aws_api_gateway_integration.route,
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "this" {
  # checkov:skip=CKV_AWS_73:traces go to X-Ray only with a right on all resources; access logs carry the request's id
  # checkov:skip=CKV_AWS_120:a webhook is answered anew each time; there is nothing to cache
  # checkov:skip=CKV2_AWS_4:the level is ERROR; the check also wants metrics of each method, which cost money and say what those of the stage say
  # checkov:skip=CKV2_AWS_29:the firewall is a variable (waf): it costs more than all the rest, and the signature decides without it
  # checkov:skip=CKV2_AWS_77:that rule reads bodies, which quote code; nothing here is Java
  # checkov:skip=CKV2_AWS_51:GitHub presents no client certificate; its signature is verified instead
  rest_api_id   = aws_api_gateway_rest_api.this.id
  deployment_id = aws_api_gateway_deployment.this.id
  stage_name    = local.stage

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api.arn
    # No header and no body: neither signatures nor code.
    format = jsonencode({
      requestId = "$context.requestId"
      at        = "$context.requestTimeEpoch"
      from      = "$context.identity.sourceIp"
      agent     = "$context.identity.userAgent"
      method    = "$context.httpMethod"
      path      = "$context.resourcePath"
      status    = "$context.status"
      bytes     = "$context.responseLength"
      millis    = "$context.responseLatency"
      error     = "$context.error.responseType"
    })
  }

  depends_on = [aws_api_gateway_account.this, aws_cloudwatch_log_group.api_errors]
}

resource "aws_api_gateway_method_settings" "all" {
  # checkov:skip=CKV_AWS_225:a webhook is answered anew each time; there is nothing to cache
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.throttle.rate
    throttling_burst_limit = var.throttle.burst
    metrics_enabled        = false # Those of the stage cost nothing and are enough; those of each method do.
    logging_level          = "ERROR"
    data_trace_enabled     = false
  }
}

# One role for all APIs of the account and region, by which API Gateway writes logs. AWS's own policy: it must be able to write to
# groups of any API.
resource "aws_iam_role" "api_logs" {
  count              = var.api_account_role ? 1 : 0
  name               = "${var.name}-api-logs"
  description        = "By which API Gateway writes the logs of this account's APIs"
  assume_role_policy = local.trust["apigateway"]
}

resource "aws_iam_role_policy_attachment" "api_logs" {
  count      = var.api_account_role ? 1 : 0
  role       = one(aws_iam_role.api_logs[*].name)
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "this" {
  count               = var.api_account_role ? 1 : 0
  cloudwatch_role_arn = one(aws_iam_role.api_logs[*].arn)
  depends_on          = [aws_iam_role_policy_attachment.api_logs]
}

# A name of one's own

resource "aws_api_gateway_domain_name" "this" {
  count                    = var.custom_domain == null ? 0 : 1
  domain_name              = var.custom_domain.name
  regional_certificate_arn = var.custom_domain.certificate_arn
  security_policy          = "TLS_1_2"

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_base_path_mapping" "this" {
  count       = var.custom_domain == null ? 0 : 1
  api_id      = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  domain_name = one(aws_api_gateway_domain_name.this[*].domain_name)
}

resource "aws_route53_record" "this" {
  count   = try(var.custom_domain.zone_id, null) == null ? 0 : 1
  zone_id = var.custom_domain.zone_id
  name    = var.custom_domain.name
  type    = "A"

  alias {
    name                   = one(aws_api_gateway_domain_name.this[*].regional_domain_name)
    zone_id                = one(aws_api_gateway_domain_name.this[*].regional_zone_id)
    evaluate_target_health = false
  }
}
