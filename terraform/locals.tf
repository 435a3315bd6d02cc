# Names and addresses. They are put together here rather than read from the resources, so that a plan already shows every policy
# as it will be.

locals {
  tags = merge({ Application = var.name, ManagedBy = "terraform" }, var.tags)

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  scope     = "${var.region}:${local.account}"

  table_arn     = "arn:${local.partition}:dynamodb:${local.scope}:table/${var.name}"
  queue_arn     = "arn:${local.partition}:sqs:${local.scope}:${var.name}"
  dead_name     = "${var.name}-dead"
  dead_arn      = "arn:${local.partition}:sqs:${local.scope}:${local.dead_name}"
  receiver_name = "${var.name}-receiver"
  worker_name   = "${var.name}-worker"
  receiver_logs = "/aws/lambda/${local.receiver_name}"
  worker_logs   = "/aws/lambda/${local.worker_name}"
  stage         = "live"

  # The secrets by what they are for; their values are stored by people and never known to Terraform.
  secrets = merge(
    { webhook = "Secret with which GitHub signs deliveries" },
    var.github.token ? { github-token = "Personal token for GitHub" } : { github-app = "Private key (PEM) of the GitHub App" },
    var.slack == null ? {} : { slack = "Bot token (xoxb-…) of Slack" },
    try(var.slack.user_token, false) ? { slack-user = "User token (xoxp-…) of Slack, scope search:read" } : {},
  )
  # Secrets Manager adds a dash and six characters of its own to the name; AWS's own notation for "this secret" is six question marks.
  secret_arns = { for key in keys(local.secrets) : key => "arn:${local.partition}:secretsmanager:${local.scope}:secret:${var.name}/${key}-??????" }

  kms_key_arn = var.create_kms_key ? one(aws_kms_key.this[*].arn) : var.kms_key_arn
  # Known while planning, which the ARN of a new key is not.
  has_kms_key = var.create_kms_key || var.kms_key_arn != null

  # SQS hides a message that was taken for six times as long as the function may run, as AWS asks.
  visibility = 6 * var.worker.timeout

  domain_arn     = "arn:${local.partition}:es:${local.scope}:domain/${var.name}"
  opensearch_arn = var.opensearch.create ? local.domain_arn : var.opensearch.domain_arn
  opensearch_url = var.opensearch.create ? "https://${one(aws_opensearch_domain.this[*].endpoint)}" : var.opensearch.url
  has_opensearch = var.opensearch.create || var.opensearch.url != null

  model_endpoint  = var.model.create ? "${var.name}-model" : var.model.endpoint
  model_component = var.model.create ? "${var.name}-model" : var.model.component
  endpoints       = toset([for name in [local.model_endpoint, var.embedding.endpoint] : name if name != null])

  tells = concat(aws_sns_topic.alarms[*].arn, var.alarms.topic_arns)
}

# The configuration that both functions read: TOML, whose strings and lists are written as in JSON.

locals {
  configuration = join("\n", concat(
    ["organisation = ${jsonencode(var.organisation)}"],
    local.section.thresholds,
    local.section.limits,
    local.section.github,
    local.section.slack,
    local.section.aws,
    local.section.opensearch,
    local.section.sagemaker,
    local.section.serve,
    flatten([for r in var.repositories : concat(
      ["[[repository]]", "name = ${jsonencode(r.name)}"],
      r.branches == tolist(["develop"]) ? [] : ["branches = ${jsonencode(r.branches)}"],
    )]),
    [""],
  ))

  # What is null has no line.
  lines = {
    github = {
      api_url      = var.github.api_url
      app_id       = var.github.app_id
      installation = var.github.installation
      private_key  = var.github.token ? null : "aws:${var.name}/github-app"
      token        = var.github.token ? "aws:${var.name}/github-token" : null
      checks       = var.github.checks
      labels       = var.github.labels
      reviewers    = var.github.reviewers
    }
    slack = var.slack == null ? null : {
      bot_token  = "aws:${var.name}/slack"
      user_token = var.slack.user_token ? "aws:${var.name}/slack-user" : null
      channels   = var.slack.channels
      confirm    = var.slack.confirm
      notices    = var.slack.notices
      senior     = var.slack.senior
    }
    # The region for people who take the configuration to a machine of theirs; a function knows its own.
    aws = {
      endpoint          = var.endpoint_url
      region            = var.region
      table             = aws_dynamodb_table.this.name
      queue             = aws_sqs_queue.tasks.url
      dead_letter_queue = aws_sqs_queue.dead.url
    }
    opensearch = !local.has_opensearch ? null : {
      url   = local.opensearch_url
      index = var.opensearch.index
    }
    sagemaker = length(local.endpoints) == 0 ? null : {
      model_endpoint       = local.model_endpoint
      model_profile        = local.model_endpoint == null ? null : var.model.profile
      model_name           = var.model.name
      model_component      = local.model_component
      embedding_endpoint   = var.embedding.endpoint
      embedding_dimensions = var.embedding.endpoint == null ? null : var.embedding.dimensions
    }
    # The secret before the last rotation counts as long as there is one: see scripts/rotate_secret.sh.
    serve      = { webhook_secrets = ["aws:${var.name}/webhook", "aws:${var.name}/webhook#@AWSPREVIOUS"] }
    thresholds = var.thresholds
    limits     = var.limits
  }

  section = { for name, values in local.lines : name => values == null ? [] : concat(
    ["[${name}]"], [for key, value in values : "${key} = ${jsonencode(value)}" if value != null],
  ) }
}
