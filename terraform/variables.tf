# Everything an operator may say. Only `organisation`, `repositories` and `github` have no default.

# General

variable "name" {
  description = "Name of this deployment, and the beginning of the name of everything in it. Two deployments in one account and region need two names."
  type        = string
  default     = "codehealer"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,23}$", var.name))
    error_message = "name has 3 to 24 lower-case letters, digits and dashes, and begins with a letter: an OpenSearch domain takes no more."
  }
}

variable "region" {
  description = "AWS region of everything, such as eu-central-1."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is the code of an AWS region, such as eu-central-1."
  }
}

variable "tags" {
  description = "Further tags of every resource. `Application` and `ManagedBy` are set already."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && length(key) <= 128])
    error_message = "keys of tags have at most 128 characters and do not begin with aws:, which belongs to AWS."
  }
}

variable "endpoint_url" {
  description = "Address of an emulator on this machine that answers in place of AWS. For tests; leave it out to deploy."
  type        = string
  default     = null

  validation {
    condition     = var.endpoint_url == null || can(regex("^http://(127\\.0\\.0\\.1|localhost)(:[0-9]{1,5})?$", var.endpoint_url))
    error_message = "endpoint_url is that of an emulator on this machine, such as http://127.0.0.1:5000. AWS itself needs none."
  }
}

# What is healed

variable "organisation" {
  description = "Whose knowledge this is: remembered fixes and team answers never leave their organisation."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", var.organisation))
    error_message = "organisation has 1 to 64 letters, digits, dots, dashes and underscores."
  }
}

variable "repositories" {
  description = "Repositories whose pushes are healed, `owner/name`, with the branches that are watched."
  type = list(object({
    name     = string
    branches = optional(list(string), ["develop"])
  }))

  validation {
    condition     = length(var.repositories) > 0
    error_message = "repositories names nothing: every webhook would be answered with 404. Name at least one, as owner/name."
  }

  validation {
    condition     = alltrue([for r in var.repositories : can(regex("^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$", r.name))])
    error_message = "each repository is named owner/name, as GitHub spells it."
  }

  validation {
    condition     = alltrue([for r in var.repositories : length(r.branches) > 0])
    error_message = "a repository without branches is never healed: name some, or leave branches out for develop."
  }

  validation {
    condition     = length(distinct([for r in var.repositories : lower(r.name)])) == length(var.repositories)
    error_message = "a repository is named twice: give it all of its branches at once."
  }
}

variable "github" {
  description = "How GitHub knows us: an App by its number (recommended), or a personal token where `token` is true. The private key or the token itself is stored in Secrets Manager afterwards. `api_url` for GitHub Enterprise Server. `checks` needs the permission checks: write."
  type = object({
    app_id       = optional(number)
    installation = optional(number)
    token        = optional(bool, false)
    api_url      = optional(string)
    checks       = optional(bool, false)
    labels       = optional(list(string), ["codehealer"])
    reviewers    = optional(list(string), [])
  })

  validation {
    condition     = (var.github.app_id != null) != var.github.token
    error_message = "github needs an App (app_id) or a personal token (token = true), and not both."
  }

  validation {
    condition     = var.github.app_id == null || try(var.github.app_id > 0 && floor(var.github.app_id) == var.github.app_id, false)
    error_message = "github.app_id is the App's number, as its settings page shows it."
  }

  validation {
    condition     = var.github.installation == null || var.github.app_id != null
    error_message = "github.installation is one of an App's installations: it needs github.app_id."
  }

  validation {
    condition     = var.github.api_url == null || can(regex("^https://", var.github.api_url))
    error_message = "github.api_url begins with https://: tokens are sent to it."
  }
}

variable "slack" {
  description = "Slack: the channels, by id or name, whose answers may open a pull request; the channel, by id, for notices; who is called for a draft, by id of a user (U…) or user group (S…). `user_token`: search the whole workspace with a user token. Null: no Slack."
  type = object({
    channels   = optional(list(string), [])
    notices    = optional(string)
    senior     = optional(string)
    confirm    = optional(list(string), ["white_check_mark"])
    user_token = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.slack == null || try(var.slack.notices == null || can(regex("^[CG][A-Z0-9]{2,}$", var.slack.notices)), false)
    error_message = "slack.notices is the id of a channel (C…), which its settings show at the bottom, not its name."
  }

  validation {
    condition     = var.slack == null || try(var.slack.senior == null || can(regex("^[UWS][A-Z0-9]{2,}$", var.slack.senior)), false)
    error_message = "slack.senior is the id of a user (U…) or of a user group (S…), not a name."
  }
}

variable "thresholds" {
  description = "Confidence in percent: from `open` a pull request is opened, from `draft` a draft; below it a person is told."
  type = object({
    open  = optional(number, 85)
    draft = optional(number, 60)
  })
  default = {}

  validation {
    condition     = var.thresholds.draft >= 0 && var.thresholds.draft <= var.thresholds.open && var.thresholds.open <= 100
    error_message = "thresholds are percent, 0 to 100, and draft is not above open."
  }
}

variable "limits" {
  description = "How much people get at once: pull requests an hour and open at a time in one repository, cases healed of one push, changed lines of one fix."
  type = object({
    pull_requests_per_hour = optional(number, 2)
    open_pull_requests     = optional(number, 5)
    cases_a_push           = optional(number, 10)
    changed_lines          = optional(number, 60)
  })
  default = {}

  validation {
    condition     = alltrue([for n in values(var.limits) : n >= 1 && n <= 1000 && floor(n) == n])
    error_message = "limits are whole numbers from 1 to 1000."
  }
}

# The functions

variable "package" {
  description = "The zip that `make package` makes."
  type        = string
  default     = "../target/lambda/codehealer.zip"

  validation {
    condition     = endswith(var.package, ".zip")
    error_message = "package is the path of a .zip; `make package` makes one."
  }
}

variable "receiver" {
  description = "The function that answers GitHub: memory in MB, seconds it may run (GitHub itself gives up after 10), instances reserved for it (null: as many as the API's throttle lets in)."
  type = object({
    memory   = optional(number, 512)
    timeout  = optional(number, 10)
    reserved = optional(number)
  })
  default = {}

  validation {
    condition     = var.receiver.memory >= 128 && var.receiver.memory <= 10240 && var.receiver.timeout >= 9 && var.receiver.timeout <= 29
    error_message = "receiver.memory is 128 to 10240 MB. receiver.timeout is 9 to 29 s: the function gives up by itself after 8, API Gateway after 29."
  }
}

variable "worker" {
  description = "The function that scans and heals: memory in MB, seconds it may run, tasks handed over at once, instances that may work on the queue at a time, instances reserved for it (null: none)."
  type = object({
    memory      = optional(number, 2048)
    timeout     = optional(number, 300)
    batch       = optional(number, 5)
    concurrency = optional(number, 5)
    reserved    = optional(number)
  })
  default = {}

  validation {
    condition     = var.worker.memory >= 512 && var.worker.memory <= 10240
    error_message = "worker.memory is 512 to 10240 MB: the rules of a dozen languages and a large push need room."
  }

  validation {
    condition     = var.worker.timeout >= 120 && var.worker.timeout <= 900
    error_message = "worker.timeout is 120 to 900 s: one answer of a model may take 60, and no task is begun in the last 20."
  }

  validation {
    condition     = var.worker.batch >= 1 && var.worker.batch <= 10 && var.worker.concurrency >= 2 && var.worker.concurrency <= 1000
    error_message = "worker.batch is 1 to 10 tasks; worker.concurrency is 2 to 1000, as Lambda demands."
  }

  validation {
    condition     = var.worker.reserved == null || try(var.worker.reserved > var.worker.concurrency, false)
    error_message = "worker.reserved leaves no instance for the schedule: make it larger than worker.concurrency, or null."
  }
}

variable "max_receive_count" {
  description = "How often a task is handed out before SQS itself puts it aside. CodeHealer puts tasks aside after 8 failures, with the reason."
  type        = number
  default     = 10

  validation {
    condition     = var.max_receive_count >= 5 && var.max_receive_count <= 1000
    error_message = "max_receive_count is 5 to 1000: with fewer, a moment of trouble puts tasks aside."
  }
}

variable "reconcile_minutes" {
  description = "How often heads that moved without a webhook, expired leases and due retries are looked for."
  type        = number
  default     = 10

  validation {
    condition     = var.reconcile_minutes >= 2 && var.reconcile_minutes <= 60 && floor(var.reconcile_minutes) == var.reconcile_minutes
    error_message = "reconcile_minutes is a whole number from 2 to 60."
  }
}

variable "log_level" {
  description = "Which log lines are written: a level, or a filter such as info,codehealer=debug."
  type        = string
  default     = "info"

  validation {
    condition     = can(regex("^[A-Za-z0-9_:=,]{1,200}$", var.log_level))
    error_message = "log_level is trace, debug, info, warn, error, or a list such as info,codehealer=debug."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept. The audit trail is not in the logs and is kept for good."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of the numbers that CloudWatch takes: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 and so on."
  }
}

variable "vpc" {
  description = "Subnets and security groups for both functions, where something can only be reached from inside a VPC. They then need a NAT gateway to reach GitHub and Slack, which costs more than all the rest. Null: no VPC."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null || try(length(var.vpc.subnet_ids) > 0 && length(var.vpc.security_group_ids) > 0, false)
    error_message = "vpc needs at least one subnet and one security group."
  }

  validation {
    condition     = var.vpc == null || try(alltrue([for id in var.vpc.subnet_ids : startswith(id, "subnet-")]) && alltrue([for id in var.vpc.security_group_ids : startswith(id, "sg-")]), false)
    error_message = "vpc names subnets by id (subnet-…) and security groups by id (sg-…)."
  }
}

# The API

variable "throttle" {
  description = "Requests a second that the API lets through, and how many at once."
  type = object({
    rate  = optional(number, 50)
    burst = optional(number, 100)
  })
  default = {}

  validation {
    condition     = var.throttle.rate >= 1 && var.throttle.rate <= 10000 && var.throttle.burst >= var.throttle.rate && var.throttle.burst <= 5000
    error_message = "throttle.rate is 1 to 10000 a second, throttle.burst at least as much and at most 5000."
  }
}

variable "webhook_sources" {
  description = "Address ranges that may call the API, such as the `hooks` of https://api.github.com/meta. Empty: all may; the signature decides. GitHub changes its ranges, and what is not let in here is lost until the next reconciliation."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.webhook_sources : can(cidrhost(range, 0))])
    error_message = "webhook_sources are address ranges, such as 192.30.252.0/22."
  }
}

variable "api_account_role" {
  description = "Whether to give API Gateway the role by which it writes logs. It is one setting for all APIs of the account and region: false where it is set already."
  type        = bool
  default     = true
}

variable "waf" {
  description = "Whether a web application firewall stands before the API: AWS's list of bad addresses, and `waf_rate` requests in five minutes from one address."
  type        = bool
  default     = false
}

variable "waf_rate" {
  description = "Requests from one address in five minutes before the firewall refuses it. GitHub sends from few addresses."
  type        = number
  default     = 5000

  validation {
    condition     = var.waf_rate >= 100 && var.waf_rate <= 2000000
    error_message = "waf_rate is 100 to 2000000 requests in five minutes."
  }
}

variable "custom_domain" {
  description = "Name for the webhook's address with its certificate (ACM, same region) and, if it is to be entered there, the hosted zone of Route 53. Null: the address that AWS gives."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.custom_domain == null || try(can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.custom_domain.name)) && can(regex("^arn:[^:]+:acm:", var.custom_domain.certificate_arn)), false)
    error_message = "custom_domain.name is a domain name in lower case, and certificate_arn the ARN of a certificate in ACM."
  }
}

# What is kept

variable "deletion_protection" {
  description = "Whether the table and the OpenSearch domain refuse to be deleted: `terraform destroy` then stops at the table."
  type        = bool
  default     = true
}

variable "point_in_time_recovery" {
  description = "Whether the table can be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "table_writers" {
  description = "ARNs of roles and users besides the worker who may write to the table: people who use `codehealer audit ignore` or `heal --table`. Nobody else may, administrators included; and nobody at all may alter or delete events."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.table_writers : can(regex("^arn:[^:]+:iam::[0-9]{12}:(role|user)/[^*?]+$", arn))])
    error_message = "table_writers are ARNs of roles or users without wildcards, such as arn:aws:iam::123456789012:role/operator."
  }
}

variable "secret_recovery_days" {
  description = "Days in which a deleted secret can be taken back; 0 deletes it at once."
  type        = number
  default     = 30

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days is 0, or 7 to 30."
  }
}

variable "create_kms_key" {
  description = "Whether to create a key of your own for everything that is stored: one dollar a month. Otherwise AWS's keys are used."
  type        = bool
  default     = false

  validation {
    condition     = !(var.create_kms_key && var.kms_key_arn != null)
    error_message = "create_kms_key and kms_key_arn exclude each other: take the key that is there, or let one be created."
  }
}

variable "kms_key_arn" {
  description = "ARN of a key of yours for everything that is stored. Its policy must let CloudWatch Logs, SQS and SNS use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key (arn:aws:kms:…:key/…), not of an alias."
  }
}

# Memory

variable "opensearch" {
  description = "Where remembered fixes are kept. `url` and `domain_arn`: a domain of Amazon that is there; `create`: a new one, with its instances and the GB of each disk. None of them: what people merge is not remembered."
  type = object({
    url            = optional(string)
    domain_arn     = optional(string)
    index          = optional(string, "codehealer-fixes")
    create         = optional(bool, false)
    engine_version = optional(string, "OpenSearch_2.19")
    instance_type  = optional(string, "t3.small.search")
    instance_count = optional(number, 1)
    volume_gb      = optional(number, 10)
  })
  default = {}

  validation {
    condition     = !(var.opensearch.create && var.opensearch.url != null)
    error_message = "opensearch.create and opensearch.url exclude each other."
  }

  validation {
    condition     = (var.opensearch.url == null) == (var.opensearch.domain_arn == null)
    error_message = "opensearch.url and opensearch.domain_arn belong together: the worker is given rights on that domain only."
  }

  validation {
    condition     = var.opensearch.url == null || can(regex("^https://[^/]+$", var.opensearch.url))
    error_message = "opensearch.url is https:// and a host name, nothing behind it."
  }

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{0,99}$", var.opensearch.index))
    error_message = "opensearch.index is a name of lower-case letters, digits, dashes and underscores."
  }

  validation {
    condition     = can(regex("^OpenSearch_(2\\.(9|1[0-9])|3\\.[0-9]+)$", var.opensearch.engine_version)) && endswith(var.opensearch.instance_type, ".search")
    error_message = "opensearch.engine_version is OpenSearch_2.9 or newer (k-NN with filters), and instance_type ends with .search."
  }

  validation {
    condition     = contains([1, 2, 3, 4, 6], var.opensearch.instance_count) && var.opensearch.volume_gb >= 10 && var.opensearch.volume_gb <= 1000
    error_message = "opensearch.instance_count is 1, 2, 3, 4 or 6, and volume_gb 10 to 1000."
  }
}

# Models

variable "model" {
  description = "The model that is asked last. `endpoint`: a SageMaker endpoint that is there, with its inference component where it has several; `create`: one with a GPU that scales to zero when nobody asks. `profile` is what the container speaks: chat, lmi or tgi. None of them: no model is asked."
  type = object({
    endpoint      = optional(string)
    component     = optional(string)
    profile       = optional(string, "chat")
    name          = optional(string)
    create        = optional(bool, false)
    image         = optional(string)
    data          = optional(string)
    environment   = optional(map(string), {})
    instance_type = optional(string, "ml.g6.xlarge")
    instances     = optional(number, 1)
    memory        = optional(number, 12288)
    idle_minutes  = optional(number, 15)
  })
  default = {}

  validation {
    condition     = !(var.model.create && var.model.endpoint != null)
    error_message = "model.create and model.endpoint exclude each other."
  }

  validation {
    condition     = contains(["chat", "lmi", "tgi"], var.model.profile)
    error_message = "model.profile is chat, lmi or tgi: what the endpoint's container speaks."
  }

  validation {
    condition     = !var.model.create || var.model.image != null
    error_message = "model.create needs model.image: the inference container, such as AWS's LMI container of your region."
  }

  validation {
    condition     = var.model.data == null || can(regex("^s3://[a-z0-9.-]{3,63}/.+/$", var.model.data))
    error_message = "model.data is the folder of the weights in S3: s3://bucket/folder/, with the slash at its end."
  }

  validation {
    condition     = can(regex("^ml\\.(g4dn|g5|g6|g6e|gr6|p4d|p4de|p5|inf2)\\.", var.model.instance_type))
    error_message = "model.instance_type is an accelerated one, such as ml.g6.xlarge: a Llama does not run on less, and not on serverless inference."
  }

  validation {
    condition     = var.model.instances >= 1 && var.model.instances <= 10 && var.model.idle_minutes >= 5 && var.model.idle_minutes <= 120 && var.model.memory >= 1024
    error_message = "model.instances is 1 to 10, model.idle_minutes 5 to 120, model.memory 1024 MB or more."
  }
}

variable "embedding" {
  description = "SageMaker endpoint that embeds code, and the length of its vectors. None: the built-in structural embedding, which needs no endpoint."
  type = object({
    endpoint   = optional(string)
    dimensions = optional(number, 768)
  })
  default = {}

  validation {
    condition     = var.embedding.dimensions >= 8 && var.embedding.dimensions <= 4096
    error_message = "embedding.dimensions is 8 to 4096."
  }
}

# Watching it

variable "dashboard" {
  description = "Whether CloudWatch shows a dashboard: three dollars a month beyond the third of an account."
  type        = bool
  default     = true
}

variable "alarms" {
  description = "Who is told: an email address, and SNS topics that are there. `monthly_budget`: US dollars a month for everything with this deployment's tag, 0 for none. `daily_tokens`: model tokens a day before an alarm."
  type = object({
    email          = optional(string)
    topic_arns     = optional(list(string), [])
    monthly_budget = optional(number, 0)
    daily_tokens   = optional(number, 2000000)
  })
  default = {}

  validation {
    condition     = var.alarms.email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alarms.email))
    error_message = "alarms.email is an email address."
  }

  validation {
    condition     = alltrue([for arn in var.alarms.topic_arns : can(regex("^arn:[^:]+:sns:", arn))])
    error_message = "alarms.topic_arns are ARNs of SNS topics."
  }

  validation {
    condition     = var.alarms.monthly_budget >= 0 && var.alarms.daily_tokens >= 0
    error_message = "alarms.monthly_budget and alarms.daily_tokens are not negative."
  }

  validation {
    condition     = var.alarms.monthly_budget == 0 || var.alarms.email != null || length(var.alarms.topic_arns) > 0
    error_message = "alarms.monthly_budget tells nobody: give alarms.email or alarms.topic_arns."
  }
}
