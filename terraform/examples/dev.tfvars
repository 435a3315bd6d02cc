# To try it out: easily deleted, no alarms by mail, no memory and no model. Costs cents a month while nobody pushes.
#   make deploy VARS=examples/dev.tfvars

name         = "codehealer-dev"
region       = "eu-central-1"
organisation = "acme"

repositories = [{ name = "acme/sandbox" }]

github = { app_id = 123456 }

slack = {
  channels = ["security"]
  notices  = "C0123456789"
}

log_level            = "info,codehealer=debug"
log_retention_days   = 7
dashboard            = false
deletion_protection  = false
secret_recovery_days = 0
