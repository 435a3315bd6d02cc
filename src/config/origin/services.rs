//! Where the values of the services come from. Of secrets only the place is shown.

use super::{Settings, origin, without_login};
use crate::config::services::{
    GitHub, GitHubAuth, GitHubFile, OpenSearch, OpenSearchFile, SageMakerFile, Slack, SlackFile,
};
use crate::config::{Config, File, Flags, SecretSource};
use crate::report::time::dollars;

/// Said by the file or by nobody.
fn said(given: bool) -> &'static str {
    origin(None, None, given)
}

fn place(secret: Option<&SecretSource>) -> Option<String> {
    secret.map(ToString::to_string)
}

impl Settings {
    pub(super) fn services(&mut self, config: &Config, file: &File, flags: &Flags) {
        let services = &config.services;
        if let (Some(github), Some(given)) = (&services.github, &file.github) {
            self.github(github, given);
            self.caps(config, file);
        }
        if let (Some(slack), Some(given)) = (&services.slack, &file.slack) {
            self.slack(slack, given);
        }
        self.aws(config, file, flags);
        if let (Some(opensearch), Some(given)) = (&services.opensearch, &file.opensearch) {
            self.opensearch(opensearch, given);
        }
        self.sagemaker(&services.sagemaker);
    }

    /// How a model is asked, once there is anything to ask.
    pub(super) fn asking(&mut self, config: &Config, file: &File) {
        let models = &config.models;
        if models.first.is_none() && config.services.sagemaker.model_endpoint.is_none() {
            return;
        }
        let (policy, given) = (&config.policy.model, file.model.clone().unwrap_or_default());
        if let Some(model) = &models.first {
            let profile = format!("{:?}", model.profile).to_lowercase();
            self.add("model.profile", profile, said(given.profile.is_some()));
            self.add("model.stall_seconds", model.stall.map(|stall| stall.as_secs()), said(model.stall.is_some()));
        }
        self.add("model.samples", policy.samples, said(given.samples.is_some()));
        self.add("model.temperature", policy.temperature.to_string(), said(given.temperature.is_some()));
        self.add("model.revisions", policy.revisions, said(given.revisions.is_some()));
        self.add("model.question_tokens", policy.question_tokens, said(given.question_tokens.is_some()));
        self.add("model.council", policy.council, said(given.council.is_some()));
        self.add("model.input_price", dollars(policy.prices.input), said(given.input_price.is_some()));
        self.add("model.output_price", dollars(policy.prices.output), said(given.output_price.is_some()));
        let budgets = &policy.budgets;
        for (name, limit) in [
            ("case", budgets.case),
            ("push", budgets.push),
            ("repository", budgets.repository),
            ("day", budgets.day),
            ("month", budgets.month),
        ] {
            if let Some(tokens) = limit.tokens {
                self.add(format!("budget.{name}_tokens"), tokens, "file");
            }
            if let Some(micros) = limit.micros {
                self.add(format!("budget.{name}_dollars"), dollars(micros), "file");
            }
        }
        for (key, other) in [("model.fallback", &models.fallback), ("model.large", &models.large)] {
            if let Some(other) = other {
                self.add(key, other.place(), "file");
            }
        }
    }

    fn github(&mut self, github: &GitHub, file: &GitHubFile) {
        self.add("github.api_url", without_login(&github.api_url), said(file.api_url.is_some()));
        match &github.auth {
            GitHubAuth::App { id, private_key, installation } => {
                self.add("github.app_id", id, "file");
                self.add("github.private_key", private_key.to_string(), "file");
                self.add("github.installation", installation, said(installation.is_some()));
            }
            GitHubAuth::Token(token) => self.add("github.token", token.to_string(), "file"),
        }
        self.add("github.checks", github.checks, said(file.checks.is_some()));
        self.add("github.labels", &github.labels, said(file.labels.is_some()));
        self.add("github.reviewers", &github.reviewers, said(!file.reviewers.is_empty()));
    }

    fn caps(&mut self, config: &Config, file: &File) {
        let Some(caps) = config.policy.caps else { return };
        let limits = &file.limits;
        self.add("limits.pull_requests_per_hour", caps.per_hour, said(limits.pull_requests_per_hour.is_some()));
        self.add("limits.open_pull_requests", caps.open, said(limits.open_pull_requests.is_some()));
        self.add("limits.cases_a_push", caps.cases_a_push, said(limits.cases_a_push.is_some()));
    }

    fn slack(&mut self, slack: &Slack, file: &SlackFile) {
        self.add("slack.api_url", without_login(&slack.api_url), said(file.api_url.is_some()));
        self.add("slack.bot_token", place(slack.bot_token.as_ref()), said(slack.bot_token.is_some()));
        self.add("slack.user_token", place(slack.user_token.as_ref()), said(slack.user_token.is_some()));
        self.add("slack.channels", &slack.channels, said(!slack.channels.is_empty()));
        self.add("slack.confirm", &slack.confirm, said(!file.confirm.is_empty()));
        self.add("slack.notices", &slack.notices, said(slack.notices.is_some()));
        self.add("slack.senior", &slack.senior, said(slack.senior.is_some()));
    }

    fn aws(&mut self, config: &Config, file: &File, flags: &Flags) {
        let (aws, given) = (&config.services.aws, &file.aws);
        if let Some(region) = &aws.region {
            self.add("aws.region", region, "file");
        }
        if let Some(profile) = &aws.profile {
            self.add("aws.profile", profile, "--profile");
        }
        if let Some(endpoint) = &aws.endpoint {
            self.add("aws.endpoint", without_login(endpoint), "file");
        }
        if let Some(table) = &aws.table {
            self.add("aws.table", table, origin(flags.table.as_ref().map(|_| "--table"), None, true));
        }
        if let Some(queue) = &aws.queue {
            self.add("aws.queue", without_login(&queue.url), "file");
            self.add("aws.dead_letter_queue", without_login(&queue.dead_letters), "file");
        }
        if given.secret_seconds.is_some() {
            self.add("aws.secret_seconds", aws.secret_lifetime.as_secs(), "file");
        }
    }

    fn opensearch(&mut self, opensearch: &OpenSearch, file: &OpenSearchFile) {
        self.add("opensearch.url", without_login(&opensearch.url), "file");
        self.add("opensearch.index", &opensearch.index, said(file.index.is_some()));
        self.add("opensearch.auth", format!("{:?}", opensearch.auth).to_lowercase(), said(file.auth.is_some()));
        if let Some((user, password)) = &opensearch.login {
            self.add("opensearch.user", user, "file");
            self.add("opensearch.password", password.to_string(), "file");
        }
    }

    fn sagemaker(&mut self, given: &SageMakerFile) {
        if let Some(endpoint) = &given.model_endpoint {
            self.add("sagemaker.model_endpoint", endpoint, "file");
            let profile = format!("{:?}", given.model_profile.unwrap_or_default()).to_lowercase();
            self.add("sagemaker.model_profile", profile, said(given.model_profile.is_some()));
            self.add("sagemaker.model_name", &given.model_name, said(given.model_name.is_some()));
            self.add("sagemaker.model_component", &given.model_component, said(given.model_component.is_some()));
        }
        if let Some(endpoint) = &given.embedding_endpoint {
            let dimensions = given.embedding_dimensions.unwrap_or(crate::recall::embedding::DIMENSIONS);
            self.add("sagemaker.embedding_endpoint", endpoint, "file");
            self.add("sagemaker.embedding_dimensions", dimensions, said(given.embedding_dimensions.is_some()));
        }
    }
}
