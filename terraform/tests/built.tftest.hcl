# What is built, from what was said: names, wiring, policies.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  organisation = "acme"
  repositories = [{ name = "acme/shop" }]
  github       = { app_id = 7 }
}

run "the_smallest" {
  assert {
    condition     = output.webhook_url == "https://api123.execute-api.eu-central-1.amazonaws.com/live/webhook"
    error_message = "webhook_url is ${output.webhook_url}"
  }

  assert {
    condition     = aws_dynamodb_table.this.hash_key == "pk" && aws_dynamodb_table.this.range_key == "sk" && aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
    error_message = "the table is not what src/aws/dynamodb/table.rs expects"
  }

  assert {
    condition = toset([for i in aws_dynamodb_table.this.global_secondary_index : "${i.name} ${i.hash_key} ${i.range_key} ${i.projection_type}"]) == toset([
      "due _due_hash _due_range KEYS_ONLY",
      "repository _repository_hash _repository_range KEYS_ONLY",
      "issue_type _issue_type_hash _issue_type_range KEYS_ONLY",
      "outcome _outcome_hash _outcome_range KEYS_ONLY",
    ])
    error_message = "the indexes are not those of src/aws/dynamodb/table.rs"
  }

  assert {
    condition     = one(aws_dynamodb_table.this.ttl).attribute_name == "_expires" && one(aws_dynamodb_table.this.ttl).enabled
    error_message = "items do not expire"
  }

  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled && one(aws_dynamodb_table.this.point_in_time_recovery).enabled
    error_message = "the audit trail can be lost by default"
  }

  assert {
    condition     = aws_sqs_queue.tasks.visibility_timeout_seconds >= 6 * aws_lambda_function.worker.timeout
    error_message = "messages come back while they are worked on"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.tasks.redrive_policy).maxReceiveCount >= 5 && aws_sqs_queue.dead.message_retention_seconds == 1209600
    error_message = "tasks are put aside too soon, or dead letters forgotten too soon"
  }

  assert {
    condition     = alltrue([for f in [aws_lambda_function.receiver, aws_lambda_function.worker] : tolist(f.architectures)[0] == "arm64" && f.runtime == "provided.al2023" && f.handler == "bootstrap"])
    error_message = "the functions do not run what make package makes"
  }

  assert {
    condition     = aws_lambda_function.receiver.environment[0].variables["CODEHEALER_ROLE"] == "receiver" && aws_lambda_function.worker.environment[0].variables["CODEHEALER_ROLE"] == "worker"
    error_message = "a function does not know which one it is"
  }

  assert {
    condition     = aws_lambda_function.receiver.environment[0].variables["CODEHEALER_CONFIG_TEXT"] == aws_lambda_function.worker.environment[0].variables["CODEHEALER_CONFIG_TEXT"]
    error_message = "the functions read different configurations"
  }

  assert {
    condition     = output.configuration == <<-EOT
      organisation = "acme"
      [thresholds]
      draft = 60
      open = 85
      [limits]
      cases_a_push = 10
      changed_lines = 60
      open_pull_requests = 5
      pull_requests_per_hour = 2
      [github]
      app_id = 7
      checks = false
      labels = ["codehealer"]
      private_key = "aws:codehealer/github-app"
      reviewers = []
      [aws]
      dead_letter_queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/made-up"
      queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/made-up"
      region = "eu-central-1"
      table = "codehealer"
      [serve]
      webhook_secrets = ["aws:codehealer/webhook","aws:codehealer/webhook#@AWSPREVIOUS"]
      [[repository]]
      name = "acme/shop"
    EOT
    error_message = "the configuration is:\n${output.configuration}"
  }

  assert {
    condition     = tolist(aws_lambda_event_source_mapping.tasks.function_response_types) == tolist(["ReportBatchItemFailures"]) && aws_lambda_event_source_mapping.tasks.scaling_config[0].maximum_concurrency == 5
    error_message = "one failed task brings its whole batch back, or nothing bounds the workers"
  }

  assert {
    condition     = one(aws_api_gateway_method_settings.all.settings).throttling_rate_limit == 50 && one(aws_api_gateway_method_settings.all.settings).throttling_burst_limit == 100
    error_message = "the API is not throttled at 50 a second and 100 at once"
  }

  assert {
    condition     = aws_api_gateway_method.route["webhook"].request_parameters["method.request.header.X-Hub-Signature-256"]
    error_message = "requests without a signature reach the function"
  }

  assert {
    condition     = aws_lambda_permission.api["webhook"].source_arn == "arn:aws:execute-api:eu-central-1:123456789012:api123/live/POST/webhook"
    error_message = "another route may call the receiver"
  }

  assert {
    condition     = aws_cloudwatch_event_rule.reconcile.schedule_expression == "rate(10 minutes)" && aws_cloudwatch_event_target.reconcile.input == null
    error_message = "the schedule is not the plain event every ten minutes"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.receiver.policy).Statement == [
      { Sid = "SendTasks", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = "arn:aws:sqs:eu-central-1:123456789012:codehealer" },
      { Sid = "ReadTheWebhookSecret", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:codehealer/webhook-??????" },
      { Sid = "WriteItsLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/codehealer-receiver:log-stream:*" },
    ]
    error_message = "the receiver may do something else than send, read one secret and write its log"
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.worker.policy, "es:ESHttp") && !strcontains(aws_iam_role_policy.worker.policy, "sagemaker:") && !strcontains(aws_iam_role_policy.worker.policy, "codehealer/webhook")
    error_message = "the worker has rights on what is not configured, or on the webhook secret"
  }

  assert {
    condition     = length(aws_kms_key.this) + length(aws_wafv2_web_acl.this) + length(aws_opensearch_domain.this) + length(aws_sagemaker_model.this) + length(aws_cloudformation_stack.model) + length(aws_budgets_budget.monthly) + length(aws_iam_role_policy.vpc) == 0
    error_message = "something that costs money by the hour was not asked for"
  }

  assert {
    condition     = toset(keys(aws_secretsmanager_secret.this)) == toset(["webhook", "github-app"])
    error_message = "there are secrets that nobody needs, or none that somebody does"
  }

  assert {
    condition     = !strcontains(output.next_steps, "slack") && strcontains(output.next_steps, "--secret-id codehealer/github-app")
    error_message = "the next steps do not fit:\n${output.next_steps}"
  }

  assert {
    condition = alltrue([for name in ["api-5xx", "api-4xx", "api-latency", "receiver-errors", "worker-errors", "receiver-throttles", "worker-throttles", "queue-age", "dead-letters", "tasks-put-aside", "breaker-open"] :
    contains(keys(aws_cloudwatch_metric_alarm.this), name)])
    error_message = "an alarm is missing"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["api-5xx"].threshold == 10 && aws_cloudwatch_metric_alarm.this["api-4xx"].threshold == 20 && aws_cloudwatch_metric_alarm.this["api-latency"].threshold == 5000 && aws_cloudwatch_metric_alarm.this["dead-letters"].dimensions["QueueName"] == "codehealer-dead"
    error_message = "an alarm watches something else"
  }
}

run "another_name" {
  variables { name = "healer-two" }

  assert {
    condition = alltrue([for name in [
      aws_dynamodb_table.this.name, aws_sqs_queue.tasks.name, aws_sqs_queue.dead.name, aws_lambda_function.receiver.function_name, aws_lambda_function.worker.function_name,
      aws_iam_role.receiver.name, aws_iam_role.worker.name, aws_secretsmanager_secret.this["webhook"].name, aws_cloudwatch_event_rule.reconcile.name, aws_cloudwatch_dashboard.this[0].dashboard_name,
    ] : startswith(name, "healer-two")])
    error_message = "a second deployment in the same account would meet the first one"
  }
}

run "everything" {
  variables {
    slack           = { channels = ["security \"<&>\""], notices = "C01", senior = "S01", user_token = true }
    repositories    = [{ name = "acme/shop", branches = ["develop", "main"] }]
    create_kms_key  = true
    waf             = true
    webhook_sources = ["192.30.252.0/22"]
    opensearch      = { create = true, instance_count = 2 }
    model           = { create = true, image = "763104351884.dkr.ecr.eu-central-1.amazonaws.com/djl-inference:1", data = "s3://models/llama/" }
    embedding       = { endpoint = "embedder" }
    custom_domain   = { name = "hooks.example.org", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1", zone_id = "Z1" }
    alarms          = { email = "ops@example.org", monthly_budget = 100 }
    vpc             = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    table_writers   = ["arn:aws:iam::123456789012:role/operator"]
  }

  assert {
    condition     = output.webhook_url == "https://hooks.example.org/webhook"
    error_message = "webhook_url is ${output.webhook_url}"
  }

  assert {
    condition     = strcontains(output.configuration, "[opensearch]\nindex = \"codehealer-fixes\"\nurl = \"https://search-made-up.eu-central-1.es.amazonaws.com\"")
    error_message = "the functions do not know the domain:\n${output.configuration}"
  }

  assert {
    condition     = strcontains(output.configuration, "model_component = \"codehealer-model\"\nmodel_endpoint = \"codehealer-model\"\nmodel_profile = \"chat\"") && strcontains(output.configuration, "embedding_endpoint = \"embedder\"")
    error_message = "the functions do not know the endpoints:\n${output.configuration}"
  }

  assert {
    condition     = strcontains(output.configuration, "branches = [\"develop\",\"main\"]")
    error_message = "the branches are lost:\n${output.configuration}"
  }

  assert {
    condition = alltrue([for arn in [
      "arn:aws:es:eu-central-1:123456789012:domain/codehealer/codehealer-fixes/*",
      "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/codehealer-model",
      "arn:aws:sagemaker:eu-central-1:123456789012:inference-component/codehealer-model",
      "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/embedder",
      "secret:codehealer/slack-??????", "secret:codehealer/slack-user-??????", "secret:codehealer/github-app-??????",
    ] : strcontains(aws_iam_role_policy.worker.policy, arn)])
    error_message = "the worker cannot reach what it is configured with:\n${aws_iam_role_policy.worker.policy}"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.key["receiver"].policy).Statement[0].Condition.StringEquals["kms:ViaService"] == [
    "sqs.eu-central-1.amazonaws.com", "secretsmanager.eu-central-1.amazonaws.com"]
    error_message = "the receiver may use the key for more than the queue and the secret"
  }

  assert {
    condition     = alltrue([for k in [aws_sqs_queue.tasks.kms_master_key_id, aws_sqs_queue.dead.kms_master_key_id, aws_secretsmanager_secret.this["webhook"].kms_key_id, one(aws_dynamodb_table.this.server_side_encryption).kms_key_arn, aws_cloudwatch_log_group.worker.kms_key_id] : k == aws_kms_key.this[0].arn])
    error_message = "something that is stored is not encrypted with the key"
  }

  assert {
    condition     = jsondecode(aws_dynamodb_resource_policy.trail.policy).Statement[2].Condition.ArnNotEquals["aws:PrincipalArn"] == ["arn:aws:iam::123456789012:role/codehealer-worker", "arn:aws:iam::123456789012:role/operator"]
    error_message = "others may write to the table"
  }

  assert {
    condition     = jsondecode(aws_cloudformation_stack.model[0].template_body).Resources.Config.Properties.ProductionVariants[0].ManagedInstanceScaling.MinInstanceCount == 0 && aws_appautoscaling_target.model[0].min_capacity == 0
    error_message = "the GPU is paid for while nobody asks"
  }

  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.this.policy).Statement[1].Condition.NotIpAddress["aws:SourceIp"] == ["192.30.252.0/22"]
    error_message = "the API lets in others than those named"
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.alarm_actions == toset([aws_sns_topic.alarms[0].arn])])
    error_message = "an alarm tells nobody"
  }

  assert {
    condition     = one(aws_budgets_budget.monthly[0].cost_filter).values == tolist(["user:Application$codehealer"])
    error_message = "the budget counts something else: ${jsonencode(one(aws_budgets_budget.monthly[0].cost_filter).values)}"
  }

  assert {
    # The group that API Gateway names itself has no name of ours in it.
    condition     = alltrue([for group in ["/aws/lambda/codehealer-worker", aws_cloudwatch_log_group.api_errors.name] : anytrue([for pattern in jsondecode(aws_kms_key.this[0].policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] : can(regex("^${replace(pattern, "*", ".*")}$", "arn:aws:logs:eu-central-1:123456789012:log-group:${group}"))])])
    error_message = "CloudWatch may not use the key for a log group that is encrypted with it"
  }

  assert {
    condition     = one(aws_opensearch_domain.this[0].advanced_security_options).enabled && one(aws_opensearch_domain.this[0].node_to_node_encryption).enabled && one(aws_opensearch_domain.this[0].domain_endpoint_options).enforce_https
    error_message = "the domain is not closed"
  }

  assert {
    condition     = length(aws_lambda_function.worker.vpc_config) == 1 && length(aws_iam_role_policy.vpc) == 2
    error_message = "the functions are not in the VPC"
  }
}

run "a_token_and_services_that_are_there" {
  variables {
    github     = { token = true }
    opensearch = { url = "https://search.example.org", domain_arn = "arn:aws:es:eu-central-1:123456789012:domain/ours" }
    model      = { endpoint = "llama", profile = "tgi" }
  }

  assert {
    condition     = strcontains(output.configuration, "token = \"aws:codehealer/github-token\"") && !strcontains(output.configuration, "app_id") && toset(keys(aws_secretsmanager_secret.this)) == toset(["webhook", "github-token"])
    error_message = "the token is not used:\n${output.configuration}"
  }

  assert {
    condition     = length(aws_opensearch_domain.this) == 0 && strcontains(aws_iam_role_policy.worker.policy, "domain/ours/codehealer-fixes") && strcontains(output.configuration, "url = \"https://search.example.org\"")
    error_message = "the domain that is there is not used"
  }

  assert {
    condition     = length(aws_cloudformation_stack.model) == 0 && strcontains(aws_iam_role_policy.worker.policy, "endpoint/llama") && !strcontains(aws_iam_role_policy.worker.policy, "inference-component") && strcontains(output.configuration, "model_profile = \"tgi\"")
    error_message = "the endpoint that is there is not used"
  }
}

run "more_than_the_variables_of_a_function_hold" {
  command = plan
  variables { repositories = [for n in range(200) : { name = "acme/repository-${n}" }] }

  # The queue's address is not known while planning, so that it is only seen where it is made up.
  override_resource {
    target          = aws_sqs_queue.tasks
    override_during = plan
  }
  override_resource {
    target          = aws_sqs_queue.dead
    override_during = plan
  }
  expect_failures = [aws_lambda_function.receiver, aws_lambda_function.worker]
}
