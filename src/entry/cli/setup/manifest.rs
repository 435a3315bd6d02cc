//! What we ask GitHub for, and the page from which a person sends it there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::github::registration::{AppFacts, lacking};

/// The least that the work needs; the tests hold it to the calls that are made.
const TEMPLATE: &str = include_str!("../../../../scripts/github-app.json");
/// Longest name that GitHub takes for an App, characters.
const NAME: usize = 34;

/// The App as it is wanted.
pub struct Wanted {
    pub name: String,
    /// Its owner; `None`: the person who registers it.
    pub organisation: Option<String>,
    pub webhook_url: Option<String>,
    pub api_url: String,
    /// Whether it may make check runs.
    pub checks: bool,
}

impl Wanted {
    /// # Errors
    /// Names what GitHub would not take.
    pub fn check(&self) -> Result<(), String> {
        let length = self.name.trim().chars().count();
        if length == 0 || length > NAME || self.name.chars().any(char::is_control) {
            return Err(format!("--name has 1 to {NAME} characters"));
        }
        let is_login = |login: &String| {
            let plain = login.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            plain && !login.is_empty() && login.len() <= 100
        };
        if let Some(login) = self.organisation.as_ref().filter(|login| !is_login(login)) {
            return Err(format!("--organisation {login:?} is no login of GitHub; write its name as in its address"));
        }
        if let Some(url) = self.webhook_url.as_deref().filter(|url| !is_address(url)) {
            let url = crate::config::origin::without_login(url);
            return Err(format!(
                "--webhook-url {url} must begin with https:// (http:// on this machine only) and end with /webhook"
            ));
        }
        if !is_address_of_server(&self.api_url) {
            return Err("--api-url must begin with https:// (http:// on this machine only)".to_owned());
        }
        Ok(())
    }

    /// The manifest; `redirect` is where the browser comes back to.
    #[must_use]
    pub fn manifest(&self, redirect: &str) -> Value {
        let mut manifest: Value = serde_json::from_str(TEMPLATE).unwrap_or_default();
        manifest["name"] = self.name.trim().into();
        manifest["redirect_url"] = redirect.into();
        if let Some(url) = &self.webhook_url {
            manifest["hook_attributes"]["url"] = url.as_str().into();
        }
        manifest["default_permissions"] = json!(permissions(self.checks));
        manifest
    }

    /// GitHub's pages: beside the API.
    #[must_use]
    pub fn web(&self) -> String {
        match self.api_url.as_str() {
            "https://api.github.com" => "https://github.com".to_owned(),
            other => other.trim_end_matches("/api/v3").to_owned(),
        }
    }

    /// Where the manifest is sent.
    #[must_use]
    pub fn action(&self, state: &str) -> String {
        let web = self.web();
        match &self.organisation {
            Some(login) => format!("{web}/organizations/{login}/settings/apps/new?state={state}"),
            None => format!("{web}/settings/apps/new?state={state}"),
        }
    }

    /// The page with the button that sends it.
    #[must_use]
    pub fn page(&self, state: &str, redirect: &str) -> String {
        let owner = self.organisation.as_deref().unwrap_or("your own account");
        let asks: Vec<String> = permissions(self.checks)
            .iter()
            .map(|(name, level)| format!("<li>{}: {}</li>", escaped(name), escaped(level)))
            .collect();
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>CodeHealer</title>\
             <style>body{{font:16px/1.5 sans-serif;max-width:36em;margin:3em auto;padding:0 1em}}button{{font:inherit;padding:.5em 1em}}</style>\
             <h1>Register the GitHub App</h1><p>The App <b>{}</b> will belong to <b>{}</b> and may:</p><ul>{}</ul>\
             <p>GitHub shows all of it again before anything is made.</p>\
             <form action=\"{}\" method=\"post\"><input type=\"hidden\" name=\"manifest\" value=\"{}\">\
             <button>Go on to GitHub</button></form>",
            escaped(&self.name),
            escaped(owner),
            asks.concat(),
            escaped(&self.action(state)),
            escaped(&self.manifest(redirect).to_string()),
        )
    }
}

/// What the App must be allowed, as `name` and level. With `checks` it may make check runs too.
#[must_use]
pub fn permissions(checks: bool) -> BTreeMap<String, String> {
    let manifest: Value = serde_json::from_str(TEMPLATE).unwrap_or_default();
    let mut found: BTreeMap<String, String> =
        serde_json::from_value(manifest["default_permissions"].clone()).unwrap_or_default();
    if checks {
        found.insert("checks".to_owned(), "write".to_owned());
    }
    found
}

/// What the App must hear of.
#[must_use]
pub fn events() -> Vec<String> {
    let manifest: Value = serde_json::from_str(TEMPLATE).unwrap_or_default();
    serde_json::from_value(manifest["default_events"].clone()).unwrap_or_default()
}

/// What of the App's events and permissions is missing, named for a person.
#[must_use]
pub fn missing(facts: &AppFacts, checks: bool) -> Vec<String> {
    let mut missing = lacking(&facts.permissions, &permissions(checks));
    missing.extend(events().into_iter().filter(|e| !facts.events.contains(e)).map(|e| format!("the event {e}")));
    missing
}

fn is_address_of_server(url: &str) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else { return false };
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !host.is_empty() && (parsed.scheme() == "https" || (parsed.scheme() == "http" && near))
}

fn is_address(url: &str) -> bool {
    is_address_of_server(url) && url.split(['?', '#']).next().is_some_and(|path| path.ends_with("/webhook"))
}

/// Text as part of a page, or as a value between double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let (name, api_url) = ("CodeHealer".to_owned(), "https://api.github.com".to_owned());
        Wanted { name, organisation: None, webhook_url: None, api_url, checks: false }
    }

    #[test]
    fn the_manifest_is_the_template_with_what_was_asked_for() {
        let url = "https://x.example/live/webhook".to_owned();
        let asked = Wanted { name: " Healer ".into(), webhook_url: Some(url.clone()), checks: true, ..wanted() };
        let manifest = asked.manifest("http://127.0.0.1:7/registered");
        assert_eq!((&manifest["name"], &manifest["hook_attributes"]["url"]), (&json!("Healer"), &json!(url)));
        assert_eq!(manifest["redirect_url"], "http://127.0.0.1:7/registered");
        assert_eq!(manifest["default_permissions"]["checks"], "write");
        assert_eq!(wanted().manifest("r")["default_permissions"].get("checks"), None);
        assert_eq!(events(), ["push", "pull_request", "issue_comment"]);
    }

    #[test]
    fn it_is_sent_to_the_pages_beside_the_api() {
        assert_eq!(wanted().action("s"), "https://github.com/settings/apps/new?state=s");
        let host =
            Wanted { api_url: "https://git.acme.example/api/v3".into(), organisation: Some("acme".into()), ..wanted() };
        assert_eq!(host.action("s"), "https://git.acme.example/organizations/acme/settings/apps/new?state=s");
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_page() {
        let sly = Wanted { name: "\"><script>x</script>".into(), ..wanted() };
        let page = sly.page("s", "r");
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    }

    #[test]
    fn what_github_would_not_take_is_refused_before() {
        assert_eq!(wanted().check(), Ok(()));
        let near = Wanted {
            api_url: "http://127.0.0.1:9".into(),
            webhook_url: Some("http://[::1]:8/webhook".into()),
            ..wanted()
        };
        assert_eq!(near.check(), Ok(()));
        for (bad, what) in [
            (Wanted { name: " ".into(), ..wanted() }, "--name"),
            (Wanted { name: "x".repeat(35), ..wanted() }, "--name"),
            (Wanted { organisation: Some("a/b?x=".into()), ..wanted() }, "--organisation"),
            (Wanted { webhook_url: Some("http://evil.example/webhook".into()), ..wanted() }, "--webhook-url"),
            (Wanted { webhook_url: Some("https://x.example/live".into()), ..wanted() }, "--webhook-url"),
            (Wanted { api_url: "http://github.example".into(), ..wanted() }, "--api-url"),
        ] {
            let said = bad.check().unwrap_err();
            assert!(said.contains(what), "{said}");
        }
    }
}
