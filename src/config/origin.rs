//! Where each value of the configuration comes from, for people who wonder why it is so.

mod services;

use std::path::Path;

use serde::Serialize;

use super::{Config, ConfigError, Environment, File, Flags};

/// One effective value. Secrets are never among them, only where they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// As in the file: `model.url`.
    pub key: String,
    /// As the file would say it.
    pub value: String,
    /// `default`, `file`, or the name of the flag or variable.
    pub origin: &'static str,
}

/// The configuration with the origin of each of its values.
///
/// # Errors
/// As [`Config::load`].
pub fn settings(environment: &Environment, flags: &Flags) -> Result<(Config, Vec<Setting>), ConfigError> {
    let config = Config::load(environment, flags.clone())?;
    let file = match (&config.file, &environment.config_text) {
        (Some(path), _) => super::parse(path)?,
        (None, Some(text)) => super::from_text(Path::new("CODEHEALER_CONFIG_TEXT"), text)?,
        (None, None) => File::default(),
    };
    let mut settings = Settings { list: Vec::new() };
    settings.general(&config, &file, environment, flags);
    settings.sources(&config, &file, environment, flags);
    settings.serve(&config, &file, flags);
    settings.services(&config, &file, flags);
    Ok((config, settings.list))
}

struct Settings {
    list: Vec<Setting>,
}

/// Who said something, from the strongest.
fn origin(flag: Option<&'static str>, variable: Option<&'static str>, file: bool) -> &'static str {
    flag.or(variable).unwrap_or(if file { "file" } else { "default" })
}

impl Settings {
    fn add(&mut self, key: impl Into<String>, value: impl Serialize, origin: &'static str) {
        let value = serde_json::to_string(&value).unwrap_or_default();
        self.list.push(Setting { key: key.into(), value, origin });
    }

    fn general(&mut self, config: &Config, file: &File, environment: &Environment, flags: &Flags) {
        let in_file = |given: bool| origin(None, None, given);
        self.add("organisation", &config.organisation, in_file(file.organisation.is_some()));
        let flag = flags.state.as_ref().map(|_| "--state");
        let variable = environment.state.as_ref().map(|_| "CODEHEALER_STATE");
        self.add("state", config.state.display().to_string(), origin(flag, variable, file.state.is_some()));
        let flag = (!flags.rules.is_empty()).then_some("--rules");
        let rules: Vec<String> = config.rules.iter().map(|path| path.display().to_string()).collect();
        self.add("rules", rules, origin(flag, None, !file.rules.is_empty()));
        let policy = &config.policy;
        self.add("thresholds.open", policy.thresholds.open.percent(), in_file(file.thresholds.open.is_some()));
        self.add("thresholds.draft", policy.thresholds.draft.percent(), in_file(file.thresholds.draft.is_some()));
        self.add("limits.changed_lines", policy.limits.changed_lines, in_file(file.limits.changed_lines.is_some()));
        let bytes = config.file_bytes.unwrap_or(crate::detect::Limits::default().max_bytes);
        self.add("limits.file_bytes", bytes, in_file(file.limits.file_bytes.is_some()));
        self.add("limits.lease_seconds", policy.lease.as_secs(), in_file(file.limits.lease_seconds.is_some()));
        self.add("ignore.paths", &policy.ignore_paths, in_file(!file.ignore.paths.is_empty()));
        self.add("ignore.rules", &policy.ignore_rules, in_file(!file.ignore.rules.is_empty()));
    }

    fn sources(&mut self, config: &Config, file: &File, environment: &Environment, flags: &Flags) {
        if let Some(export) = &config.slack_export {
            let flag = flags.slack_export.as_ref().map(|_| "--slack-export");
            let variable = environment.slack_export.as_ref().map(|_| "CODEHEALER_SLACK_EXPORT");
            let given = file.slack_export.as_ref();
            self.add("slack_export.path", export.path.display().to_string(), origin(flag, variable, given.is_some()));
            let said = |list: fn(&super::SlackExportFile) -> bool| origin(None, None, given.is_some_and(list));
            self.add("slack_export.channels", &export.channels, said(|f| !f.channels.is_empty()));
            self.add("slack_export.confirm", &export.confirm, said(|f| !f.confirm.is_empty()));
            self.add("slack_export.workspace", &export.workspace, said(|f| f.workspace.is_some()));
        }
        if let Some(model) = &config.models.first {
            let flag = flags.model_url.as_ref().map(|_| "--model-url");
            let variable = environment.model_url.as_ref().map(|_| "CODEHEALER_MODEL_URL");
            let given = file.model.as_ref();
            self.add("model.url", without_login(&model.url), origin(flag, variable, given.is_some()));
            let flag = flags.model_name.as_ref().map(|_| "--model");
            let variable = environment.model_name.as_ref().map(|_| "CODEHEALER_MODEL");
            let named = given.is_some_and(|f| f.name.is_some());
            self.add("model.name", &model.name, origin(flag, variable, named));
            let key = model.key.as_ref().map(ToString::to_string);
            self.add("model.key", key, origin(None, None, given.is_some_and(|f| f.key.is_some())));
            let timed = given.is_some_and(|f| f.timeout_seconds.is_some());
            self.add("model.timeout_seconds", model.timeout.as_secs(), origin(None, None, timed));
        }
        self.asking(config, file);
        if let Some(verify) = &config.verify {
            let flag = flags.verify_command.as_ref().map(|_| "--verify-command");
            let variable = environment.verify_command.as_ref().map(|_| "CODEHEALER_VERIFY_COMMAND");
            let command = crate::detect::redact::redact(&verify.command).into_owned();
            self.add("verify.command", command, origin(flag, variable, file.verify.is_some()));
            let timed = file.verify.as_ref().is_some_and(|f| f.timeout_seconds.is_some());
            self.add("verify.timeout_seconds", verify.timeout.as_secs(), origin(None, None, timed));
        }
    }

    fn serve(&mut self, config: &Config, file: &File, flags: &Flags) {
        let serve = &config.serve;
        let flag = flags.listen.map(|_| "--listen");
        self.add("serve.listen", serve.listen, origin(flag, None, file.serve.listen.is_some()));
        let secrets: Vec<String> = serve.webhook_secrets.iter().map(ToString::to_string).collect();
        self.add("serve.webhook_secrets", secrets, origin(None, None, !file.serve.webhook_secrets.is_empty()));
        self.add("serve.workers", serve.workers, origin(None, None, file.serve.workers.is_some()));
        let seconds = serve.reconcile.as_secs();
        self.add("serve.reconcile_seconds", seconds, origin(None, None, file.serve.reconcile_seconds.is_some()));
        for repository in &config.repositories {
            let key = |part: &str| format!("repository.{}.{part}", repository.name);
            if let Some(path) = &repository.path {
                self.add(key("path"), path.display().to_string(), "file");
            }
            let given = !repository.branches.is_empty();
            self.add(key("branches"), repository.branches(), origin(None, None, given));
            self.add(
                key("private"),
                repository.private.unwrap_or(true),
                origin(None, None, repository.private.is_some()),
            );
        }
    }
}

/// An address without the name and password that people sometimes write into one.
#[must_use]
pub fn without_login(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, environment: &Environment, flags: Flags) -> Vec<(String, String, &'static str)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(super::super::FILE_NAME);
        std::fs::write(&path, text).unwrap();
        let flags = Flags { config: Some(path), ..flags };
        let (_, settings) = settings(environment, &flags).unwrap();
        settings.into_iter().map(|s| (s.key, s.value, s.origin)).collect()
    }

    #[test]
    fn the_strongest_origin_is_named() {
        let environment = Environment { state: Some("/env".into()), ..Environment::default() };
        let flags = Flags { model_url: Some("http://flag/v1".to_owned()), ..Flags::default() };
        let shown = shown("organisation = 'acme'\n[model]\nurl = 'http://file/v1'\nname = 'm'\n", &environment, flags);
        let of = |key: &str| shown.iter().find(|(k, ..)| k == key).map(|(_, value, origin)| (value.as_str(), *origin));
        assert_eq!(of("organisation"), Some(("\"acme\"", "file")));
        assert_eq!(of("state"), Some(("\"/env\"", "CODEHEALER_STATE")));
        assert_eq!(of("model.url"), Some(("\"http://flag/v1\"", "--model-url")));
        assert_eq!(of("model.name"), Some(("\"m\"", "file")));
        assert_eq!(of("thresholds.open"), Some(("85", "default")));
        assert_eq!(of("slack_export.path"), None);
    }

    #[test]
    fn no_secret_is_shown() {
        let text = "state = '/s'\n[model]\nurl = 'http://ann:hunter2@host:1/v1'\nkey = 'env:KEY'\n[verify]\ncommand = 'scan --token ghp_0123456789abcdefghijABCDEFGHIJ012345'\n";
        let all = format!("{:?}", shown(text, &Environment::default(), Flags::default()));
        assert!(!all.contains("hunter2") && !all.contains("ghp_0123"), "{all}");
        assert!(all.contains("env:KEY") && all.contains("…@host:1/v1"), "{all}");
    }
}
