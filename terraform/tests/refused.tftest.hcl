# What an operator may not say. Each run says several things at once, one of each variable, and every one of them must be refused.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  organisation = "acme"
  repositories = [{ name = "acme/shop" }]
  github       = { app_id = 7 }
}

run "first" {
  command = plan

  variables {
    # A name that opensearch would not take.
    name = "CodeHealer"

    # A region by its city.
    region = "Frankfurt"

    # A tag of aws.
    tags = { "aws:owner" = "me" }

    # An emulator elsewhere.
    endpoint_url = "http://example.org:5000"

    # An organisation with blanks.
    organisation = "Acme Inc"

    # No repository.
    repositories = []

    # Neither app nor token.
    github = {}

    # Notices to a name.
    slack = { notices = "#security" }

    # Drafts above pull requests.
    thresholds = { open = 60, draft = 85 }

    # No pull request ever.
    limits = { pull_requests_per_hour = 0 }

    # A package that is no zip.
    package = "../target/release/codehealer"

    # A receiver that outlives the api.
    receiver = { timeout = 60 }

    # A worker without room.
    worker = { memory = 128 }

    # Too few tries.
    max_receive_count = 3

    # A schedule every other second.
    reconcile_minutes = 0.5

    # A log level with more in it.
    log_level = "info; rm"

    # Logs for a number of days that cloudwatch has not.
    log_retention_days = 42

    # A vpc without security group.
    vpc = { subnet_ids = ["subnet-1"], security_group_ids = [] }

    # A burst below the rate.
    throttle = { rate = 50, burst = 10 }

    # A source that is no range.
    webhook_sources = ["github.com"]

    # A domain without certificate.
    custom_domain = { name = "hooks.example.org", certificate_arn = "none" }

    # Everybody as a writer.
    table_writers = ["arn:aws:iam::123456789012:role/*"]

    # A secret that is gone on the second day.
    secret_recovery_days = 2

    # A key of each kind.
    create_kms_key = true
    kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/1"

    # A domain there and new.
    opensearch = { create = true, url = "https://search.example.org", domain_arn = "arn:aws:es:eu-central-1:123456789012:domain/x" }

    # A model there and new.
    model = { create = true, endpoint = "llama", image = "x" }

    # Vectors of nothing.
    embedding = { endpoint = "e", dimensions = 0 }

    # A budget that nobody hears of.
    alarms = { monthly_budget = 100 }

    # A firewall against everything.
    waf      = true
    waf_rate = 1
  }

  expect_failures = [
    var.name,
    var.region,
    var.tags,
    var.endpoint_url,
    var.organisation,
    var.repositories,
    var.github,
    var.slack,
    var.thresholds,
    var.limits,
    var.package,
    var.receiver,
    var.worker,
    var.max_receive_count,
    var.reconcile_minutes,
    var.log_level,
    var.log_retention_days,
    var.vpc,
    var.throttle,
    var.webhook_sources,
    var.custom_domain,
    var.table_writers,
    var.secret_recovery_days,
    var.create_kms_key,
    var.opensearch,
    var.model,
    var.embedding,
    var.alarms,
    var.waf_rate,
  ]
}

run "second" {
  command = plan

  variables {
    # A repository without its owner.
    repositories = [{ name = "shop" }]

    # App and token.
    github = { app_id = 7, token = true }

    # A senior by name.
    slack = { senior = "ann" }

    # A worker without time for a model.
    worker = { timeout = 30 }

    # A key by its alias.
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/mine"

    # A domain that nobody may ask.
    opensearch = { url = "https://search.example.org" }

    # A model without container.
    model = { create = true }
  }

  expect_failures = [
    var.repositories,
    var.github,
    var.slack,
    var.worker,
    var.kms_key_arn,
    var.opensearch,
    var.model,
  ]
}

run "third" {
  command = plan

  variables {
    # A repository without branches.
    repositories = [{ name = "acme/shop", branches = [] }]

    # A token sent in the clear.
    github = { app_id = 7, api_url = "http://github.example.org/api/v3" }

    # A worker for the queue only.
    worker = { concurrency = 5, reserved = 5 }

    # A domain too old for vectors.
    opensearch = { create = true, engine_version = "OpenSearch_1.3" }

    # A model on a cpu.
    model = { create = true, image = "x", instance_type = "ml.m5.large" }
  }

  expect_failures = [
    var.repositories,
    var.github,
    var.worker,
    var.opensearch,
    var.model,
  ]
}

run "fourth" {
  command = plan

  variables {
    # A repository twice.
    repositories = [{ name = "acme/shop" }, { name = "Acme/Shop" }]

    # A model that speaks something else.
    model = { endpoint = "llama", profile = "openai" }
  }

  expect_failures = [
    var.repositories,
    var.model,
  ]
}
