# What people need afterwards.

output "webhook_url" {
  description = "The address for GitHub: content type application/json."
  value       = "${local.base_url}/webhook"
}

output "health_url" {
  description = "Answers 200 while the receiver works."
  value       = "${local.base_url}/health"
}

output "table" {
  description = "State and audit trail."
  value       = aws_dynamodb_table.this.name
}

output "queue_url" {
  description = "Tasks."
  value       = aws_sqs_queue.tasks.url
}

output "dead_letter_queue_url" {
  description = "Tasks that could not be worked on."
  value       = aws_sqs_queue.dead.url
}

output "secrets" {
  description = "Names of the secrets that need a value, by what they are for."
  value       = { for key, secret in aws_secretsmanager_secret.this : key => secret.name }
}

output "functions" {
  description = "Names of the functions."
  value       = { receiver = aws_lambda_function.receiver.function_name, worker = aws_lambda_function.worker.function_name }
}

output "configuration" {
  description = "The configuration of the functions, for a codehealer.toml on a machine of yours: `terraform output -raw configuration`."
  value       = local.configuration
}

output "dashboard_url" {
  description = "The dashboard in CloudWatch, where there is one."
  value       = !var.dashboard ? null : "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${var.name}"
}

output "next_steps" {
  description = "What is left to do, in order: `terraform output -raw next_steps`."
  value       = local.next_steps
}

locals {
  base_url = var.custom_domain == null ? aws_api_gateway_stage.this.invoke_url : "https://${var.custom_domain.name}"

  put = "aws secretsmanager put-secret-value --region ${var.region} --secret-id"
  stores = {
    webhook      = "openssl rand -hex 32 > webhook.txt && ${local.put} ${var.name}/webhook --secret-string file://webhook.txt"
    github-app   = "${local.put} ${var.name}/github-app --secret-string file://the-key-from-github.pem"
    github-token = "${local.put} ${var.name}/github-token --secret-string file://github-token.txt"
    slack        = "${local.put} ${var.name}/slack --secret-string file://slack-bot-token.txt"
    slack-user   = "${local.put} ${var.name}/slack-user --secret-string file://slack-user-token.txt"
  }
  # One call does for an App of `codehealer setup` what is by hand in the first three steps.
  setup      = var.github.token ? "" : <<-EOT
    An App that `codehealer setup` registered needs of steps 1 to 3 only this, and other tokens than its own:
         AWS_REGION=${var.region} codehealer setup --store aws:${var.name} --webhook-url ${local.base_url}/webhook

  EOT
  next_steps = <<-EOT
    ${local.setup}1. Store the secrets, from files so that they stay out of your shell's history, then delete the files:
    ${join("\n", [for key in sort(keys(local.secrets)) : "     ${local.stores[key]}"])}
    2. Tell GitHub${var.github.token ? "" : " (settings of the App)"}: webhook URL ${local.base_url}/webhook, content type
       application/json, the secret of webhook.txt, events: pushes, pull requests, issue comments${var.github.token ? "" : "; then install the App on the repositories"}.
    3. Try it:
         scripts/test_webhook.sh --url ${local.base_url}/webhook --secret-file webhook.txt --event ping
    4. Check everything that the functions need:
         terraform output -raw configuration > codehealer.toml && codehealer doctor
    5. Push to a watched branch. The first delivery records where the branch stands; what later pushes bring in is healed.
    ${var.alarms.email == null ? "" : "6. Follow the link in the mail that AWS sends to ${var.alarms.email}, or no alarm reaches you."}
  EOT
}
