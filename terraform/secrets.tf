# The secrets without their values: those would lie in Terraform's state. `terraform output next_steps` says how they are stored.

resource "aws_secretsmanager_secret" "this" {
  # Rotation needs what only people have: GitHub, or Slack, must be told the new value. scripts/rotate_secret.sh leads through it.
  # checkov:skip=CKV2_AWS_57:a function cannot tell GitHub or Slack a new secret; scripts/rotate_secret.sh rotates with both of them valid
  for_each                = local.secrets
  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = local.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}
