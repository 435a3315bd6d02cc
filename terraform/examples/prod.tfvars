# For a team that relies on it: a key of its own, firewall, alarms, a budget, a domain for memory, and a model that sleeps while nobody asks.
#   make deploy VARS=examples/prod.tfvars

name         = "codehealer"
region       = "eu-central-1"
organisation = "acme"
tags         = { CostCentre = "platform" }

repositories = [
  { name = "acme/shop" },
  { name = "acme/billing", branches = ["develop", "release"] },
]

github = {
  app_id    = 123456
  reviewers = ["acme/security"]
}

slack = {
  channels = ["security", "backend"]
  notices  = "C0123456789"
  senior   = "S0123456789"
}

create_kms_key = true
waf            = true

worker = {
  memory      = 2048
  concurrency = 10
}

opensearch = {
  create         = true
  instance_type  = "t3.small.search"
  instance_count = 2
  volume_gb      = 10
}

# The image of AWS's LMI container in your region, and the folder of the weights in a bucket of yours.
model = {
  create        = true
  profile       = "lmi"
  image         = "763104351884.dkr.ecr.eu-central-1.amazonaws.com/djl-inference:0.33.0-lmi15.0.0-cu128"
  data          = "s3://acme-models/llama-3.1-8b-instruct/"
  instance_type = "ml.g6.xlarge"
  environment   = { OPTION_MAX_MODEL_LEN = "16384" }
}

table_writers = ["arn:aws:iam::123456789012:role/operator"]

log_retention_days = 90

alarms = {
  email          = "platform@example.com"
  monthly_budget = 300
}
