//! Secrets that are known by their shape.

use std::sync::{LazyLock, OnceLock};

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::model::Span;

/// Who issues the secret, and what it looks like. A group named `s` is the secret itself where the expression needs more
/// context. Prefixes that occur nowhere else go without a word boundary, so that a token glued to other text is found.
const FORMATS: &[(&str, &str)] = &[
    ("age", r"AGE-SECRET-KEY-1[0-9A-Za-z]{40,}"),
    ("airtable", r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    ("anthropic", r"sk-ant-[A-Za-z0-9_-]{16,}"),
    ("artifactory", r"\bAKC[a-zA-Z0-9]{60,}|\bcmVmdGtu[A-Za-z0-9]{40,}"),
    ("atlassian", r"AT(?:ATT|CTT|BB)[A-Za-z0-9][A-Za-z0-9_=+/-]{23,}"),
    ("aws access key id", r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    (
        "aws secret",
        r#"(?i)(?:aws|amazon)?_?(?:secret|sec)_?(?:access)?_?key(?:_id)?["'\s]{0,4}[:=>,\s]{1,4}["'\s]{0,4}(?P<s>[A-Za-z0-9/+]{40})"#,
    ),
    ("aws session", r#"(?i)session_?token["'\s]{0,4}[:=>,\s]{1,4}["'\s]{0,4}(?P<s>[A-Za-z0-9/+=]{80,})"#),
    ("azure ad", r"[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}"),
    ("azure devops", r"[A-Za-z0-9]{40,}AZDO[A-Za-z0-9]{4}"),
    ("azure sas", r"(?i)[?&;]sig=(?P<s>[A-Za-z0-9%+/=]{30,})"),
    ("azure storage", r"(?i)(?:account|sharedaccess)key\s{0,3}=\s{0,3}(?P<s>[A-Za-z0-9+/]{40,}={0,2})"),
    (
        "basic or bearer",
        r#"(?i)\b(?:basic|bearer|token)\s{1,3}(?P<s>[A-Za-z0-9_.~+/-]{0,400}(?:[A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9_.~+/-]{12,}={0,2})"#,
    ),
    ("cloudflare", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{100,}"),
    ("crates.io", r"\bcio[A-Za-z0-9]{32}\b"),
    ("databricks", r"\bdapi[a-f0-9]{32}"),
    (
        "datadog",
        r#"(?i)(?:dd|datadog)[_-]?(?:api|app|application)[_-]?key["'\s]{0,4}[:=]\s{0,3}["']?(?P<s>[a-f0-9]{32,40})"#,
    ),
    ("digitalocean", r"do[opr]_v1_[a-f0-9]{64}"),
    ("discord", r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}"),
    ("discord webhook", r"discord(?:app)?\.com/api/webhooks/(?P<s>[0-9]{10,}/[A-Za-z0-9_-]{40,})"),
    ("docker hub", r"dckr_[op]at_[A-Za-z0-9_-]{20,}"),
    ("doppler", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{30,}"),
    ("dropbox", r"\bsl\.[A-Za-z0-9_-]{100,}"),
    ("facebook", r"\bEAA[A-Za-z0-9]{60,}"),
    ("figma", r"fig[dou]_[A-Za-z0-9_-]{30,}"),
    ("fly", r"\bfo1_[A-Za-z0-9_-]{40,}|\bFlyV1 fm2_[A-Za-z0-9+/=,_-]{40,}"),
    ("github", r"gh[pousr]_[A-Za-z0-9]{30,}"),
    ("github fine-grained", r"github_pat_[A-Za-z0-9_]{22,}"),
    ("gitlab", r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|oas|ffct|wt)-[A-Za-z0-9_=.-]{20,}"),
    ("google api", r"AIza[A-Za-z0-9_-]{35}"),
    ("google oauth", r"ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}|\b1//0[A-Za-z0-9_-]{30,}"),
    ("grafana", r"glsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}|glc_[A-Za-z0-9+/=]{32,}|\beyJrIjoi[A-Za-z0-9+/=]{40,}"),
    ("groq", r"gsk_[A-Za-z0-9]{40,}"),
    ("hashicorp", r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{50,}"),
    (
        "heroku",
        r#"HRKU-[A-Za-z0-9_-]{30,}|(?i)heroku[\w-]{0,20}["'\s]{0,4}[:=]\s{0,3}["']?(?P<s>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"#,
    ),
    ("hugging face", r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.(?:eyJ)?[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*"),
    ("linear", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    ("mailchimp", r"\b[0-9a-f]{32}-us[0-9]{1,2}\b"),
    ("mailgun", r"\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b"),
    ("mongodb atlas", r"\bmdb_sa_sk_[A-Za-z0-9_-]{30,}"),
    ("netlify", r"\bnf[pcou]_[A-Za-z0-9]{36,}"),
    ("new relic", r"NR(?:AK|AA|JS|II|IQ|BR|RA)-[A-Za-z0-9_-]{18,}"),
    ("notion", r"\bsecret_[A-Za-z0-9]{40,}|\bntn_[A-Za-z0-9]{40,}"),
    ("npm", r"npm_[A-Za-z0-9]{36}|(?i)_auth(?:token)?\s{0,3}=\s{0,3}(?P<s>[A-Za-z0-9+/=_-]{16,})"),
    ("nuget", r"\boy2[a-z0-9]{43}\b"),
    ("openai", r"\bsk-(?:proj-|svcacct-|admin-|None-)?[A-Za-z0-9_-]{20,}"),
    ("password in url", r#"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/?#:@'"<>`]{0,200}:(?P<s>[^\s/?#@'"<>`{}$]{1,300})@"#),
    ("planetscale", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{30,}"),
    ("postman", r"PMAK-[A-Fa-f0-9]{24}-[A-Fa-f0-9]{34}"),
    ("private key", r"(?s)-----BEGIN[A-Z0-9 ]{0,40} PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END[A-Z0-9 ]{0,60}-----|\z)"),
    ("pulumi", r"\bpul-[a-f0-9]{40}"),
    ("putty", r"(?s)PuTTY-User-Key-File-[0-9]+:.*?(?:Private-MAC:[^\n]*|\z)"),
    ("pypi", r"pypi-[A-Za-z0-9_-]{40,}"),
    ("replicate", r"\br8_[A-Za-z0-9]{37}"),
    ("rubygems", r"rubygems_[a-f0-9]{48}"),
    ("sendgrid", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("sendinblue", r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    (
        "sentry",
        r"sntry[su]_[A-Za-z0-9+/=_-]{40,}|https://(?P<s>[0-9a-f]{32}(?::[0-9a-f]{32})?)@[A-Za-z0-9.-]{1,100}/[0-9]",
    ),
    ("shopify", r"shp(?:at|ca|pa|ss|tka|rt)_[a-fA-F0-9]{32}"),
    ("slack", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9%-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{20,}|xwfp-[A-Za-z0-9-]{20,}"),
    ("slack webhook", r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/(?P<s>[A-Za-z0-9/_+-]{16,})"),
    ("square", r"\bsq0[a-z]{3}-[A-Za-z0-9_-]{22,}|\bEAAA[A-Za-z0-9_-]{58,}"),
    ("stripe", r"\b[srp]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|\bwhsec_[A-Za-z0-9+/=]{20,}"),
    ("supabase", r"\bsbp_[a-f0-9]{40}|\bsb_secret_[A-Za-z0-9_-]{20,}"),
    ("teams webhook", r"\.webhook\.office\.com/webhookb2/(?P<s>[A-Za-z0-9@/_-]{30,})"),
    ("telegram", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"),
    ("token in url", r"://(?P<s>[A-Za-z0-9_-]{20,})@[A-Za-z0-9.-]{3}"),
    ("twilio", r#"\bSK[0-9a-fA-F]{32}\b|(?i)twilio[\w-]{0,20}["'\s]{0,4}[:=]\s{0,3}["']?(?P<s>[0-9a-f]{32})"#),
    ("vercel", r"\bvc[prik]_[A-Za-z0-9]{24,}"),
    ("xai", r"\bxai-[A-Za-z0-9]{40,}|\bpplx-[A-Za-z0-9]{40,}"),
    ("yandex", r"\bt1\.[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{40,}|\bAQVN[A-Za-z0-9_-]{35,}"),
];

static SET: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSetBuilder::new(FORMATS.iter().map(|(_, shape)| shape)).unicode(false).build().ok());

static EXPRESSIONS: [OnceLock<Option<Regex>>; FORMATS.len()] = [const { OnceLock::new() }; FORMATS.len()];

/// All places that have the shape of a known secret; they may overlap.
pub(super) fn find(text: &str) -> Vec<Span> {
    let Some(set) = SET.as_ref() else { return whole(text) };
    let mut spans = Vec::new();
    for index in set.matches(text.as_bytes()) {
        let (Some((_, shape)), Some(slot)) = (FORMATS.get(index), EXPRESSIONS.get(index)) else { continue };
        let compile = || RegexBuilder::new(shape).unicode(false).build().ok();
        let Some(expression) = slot.get_or_init(compile) else { return whole(text) };
        for found in expression.captures_iter(text.as_bytes()) {
            if let Some(secret) = found.name("s").or_else(|| found.get(0)) {
                spans.push(Span::new(secret.start(), secret.end()));
            }
        }
    }
    spans
}

/// Formats that tests make themselves: keys for their own servers, tokens that they sign, addresses with a password.
const MADE_BY_ANYBODY: [&str; 7] =
    ["aws session", "basic or bearer", "jwt", "password in url", "private key", "putty", "token in url"];

/// What has the shape of a secret that only its service could have made.
pub(super) fn issued(text: &str) -> impl Iterator<Item = &str> {
    let indices = SET.as_ref().map(|set| set.matches(text.as_bytes()).into_iter().collect::<Vec<_>>());
    let wanted = |index: &usize| FORMATS.get(*index).is_some_and(|(name, _)| !MADE_BY_ANYBODY.contains(name));
    let found = |index: usize| {
        let (_, shape) = FORMATS.get(index)?;
        let compile = || RegexBuilder::new(shape).unicode(false).build().ok();
        let captures = EXPRESSIONS.get(index)?.get_or_init(compile).as_ref()?.captures(text.as_bytes())?;
        let secret = captures.name("s").or_else(|| captures.get(0))?;
        text.get(secret.range())
    };
    indices.unwrap_or_default().into_iter().filter(wanted).filter_map(found)
}

/// Without its expressions the redaction lets nothing through.
fn whole(text: &str) -> Vec<Span> {
    vec![Span::new(0, text.len())]
}

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|(name, _)| *name)
}
