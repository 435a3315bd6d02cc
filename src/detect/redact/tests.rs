//! One sample of each kind of secret, put together here so that no literal looks like a real one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

/// `count` characters that look random, from an alphabet, the same each time.
fn noise(alphabet: &str, count: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut state: u32 = 0x2545_f491;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        letters[state as usize % letters.len()]
    };
    (0..count).map(|_| next()).collect()
}

const MIXED: &str = "aB3dE5fG7hJ9kLmN1pQrS2tUvWxYz4";
const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ234567";

fn samples() -> Vec<(&'static str, String)> {
    let (mixed, hex, upper) = (|n| noise(MIXED, n), |n| noise(HEX, n), |n| noise(UPPER, n));
    let glue = |parts: &[&str]| parts.concat();
    vec![
        ("age", glue(&["AGE-SECRET", "-KEY-1", &upper(58)])),
        ("airtable", glue(&["pa", "t", &mixed(14), ".", &hex(64)])),
        ("anthropic", glue(&["sk-", "ant-api03-", &mixed(90), "-AA"])),
        ("aws access key id", glue(&["AK", "IA", &upper(16)])),
        ("aws temporary key id", glue(&["AS", "IA", &upper(16)])),
        ("aws secret", mixed(40)),
        ("azure ad", glue(&[&mixed(3), "8Q", "~", &mixed(34)])),
        ("azure storage", glue(&[&mixed(86), "=="])),
        ("bearer", mixed(40)),
        ("cloudflare", glue(&["v1", ".0-", &hex(24), "-", &hex(146)])),
        ("crates.io", glue(&["ci", "o", &mixed(32)])),
        ("databricks", glue(&["da", "pi", &hex(32)])),
        ("digitalocean", glue(&["dop", "_v1_", &hex(64)])),
        ("discord", glue(&["M", &mixed(23), ".", &mixed(6), ".", &mixed(38)])),
        ("docker hub", glue(&["dckr", "_pat_", &mixed(27)])),
        ("doppler", glue(&["dp", ".pt.", &mixed(43)])),
        ("figma", glue(&["fig", "d_", &mixed(40)])),
        ("github classic", glue(&["gh", "p_", &mixed(36)])),
        ("github app", glue(&["gh", "s_", &mixed(36)])),
        ("github fine-grained", glue(&["github", "_pat_", &mixed(22), "_", &mixed(59)])),
        ("gitlab", glue(&["gl", "pat-", &mixed(20)])),
        ("google api", glue(&["AI", "za", &mixed(35)])),
        ("google oauth", glue(&["ya", "29.", &mixed(60)])),
        ("google client secret", glue(&["GOC", "SPX-", &mixed(28)])),
        ("grafana", glue(&["gl", "sa_", &mixed(32), "_", &hex(8)])),
        ("groq", glue(&["gs", "k_", &mixed(52)])),
        ("hashicorp vault", glue(&["hv", "s.", &mixed(90)])),
        ("terraform cloud", glue(&[&mixed(14), ".atlas", "v1.", &mixed(67)])),
        ("hugging face", glue(&["h", "f_", &mixed(34)])),
        ("jwt", glue(&["ey", "J", &mixed(33), ".ey", "J", &mixed(50), ".", &mixed(43)])),
        ("linear", glue(&["lin", "_api_", &mixed(40)])),
        ("mailchimp", glue(&[&hex(32), "-us", "12"])),
        ("mailgun", glue(&["ke", "y-", &hex(32)])),
        ("new relic", glue(&["NR", "AK-", &upper(27)])),
        ("notion", glue(&["nt", "n_", &mixed(46)])),
        ("npm", glue(&["np", "m_", &mixed(36)])),
        ("nuget", glue(&["oy", "2", &noise("abcdefghij0123456789", 43)])),
        ("openai", glue(&["sk-", "proj-", &mixed(48)])),
        ("openai old", glue(&["s", "k-", &mixed(48)])),
        ("planetscale", glue(&["pscale", "_tkn_", &mixed(43)])),
        ("postman", glue(&["PM", "AK-", &hex(24), "-", &hex(34)])),
        ("pulumi", glue(&["pu", "l-", &hex(40)])),
        ("pypi", glue(&["py", "pi-AgEIcHlwaS5vcmc", &mixed(70)])),
        ("replicate", glue(&["r", "8_", &mixed(37)])),
        ("rubygems", glue(&["ruby", "gems_", &hex(48)])),
        ("sendgrid", glue(&["S", "G.", &mixed(22), ".", &mixed(43)])),
        ("sendinblue", glue(&["xkey", "sib-", &hex(64), "-", &mixed(16)])),
        ("sentry", glue(&["sntry", "s_", &mixed(60)])),
        ("shopify", glue(&["shp", "at_", &hex(32)])),
        ("slack bot", glue(&["xox", "b-", "123456789012-123456789012-", &mixed(24)])),
        ("slack app", glue(&["xap", "p-1-A0123456789-1234567890123-", &hex(64)])),
        ("square", glue(&["sq0", "atp-", &mixed(22)])),
        ("stripe", glue(&["sk", "_live_", &mixed(24)])),
        ("stripe webhook", glue(&["whs", "ec_", &mixed(32)])),
        ("supabase", glue(&["sb", "p_", &hex(40)])),
        ("telegram", glue(&["123456789", ":AA", &mixed(33)])),
        ("twilio", glue(&["S", "K", &hex(32)])),
    ]
}

/// How a secret without a shape of its own stands in text.
fn in_context(name: &str, secret: &str) -> String {
    match name {
        "aws secret" => format!("aws_secret_access_key = {secret}"),
        "azure storage" => format!("AccountName=x;AccountKey={secret};EndpointSuffix=y"),
        "bearer" => format!("curl -H 'Authorization: Bearer {secret}' https://x"),
        _ => format!("the value is {secret}, says the log"),
    }
}

#[test]
fn every_known_secret_is_taken_out_of_its_text() {
    assert!(samples().len() >= 35 && formats::names().count() >= 35);
    for (name, secret) in samples() {
        let text = in_context(name, &secret);
        let clean = redact(&text);
        assert!(!clean.contains(&secret) && clean.contains(MARK), "{name}: {clean}");
        let tail = &secret[secret.len() - 8..];
        assert!(!clean.contains(tail), "{name} is taken out in part: {clean}");
        let json = format!("{{\"log\":\"{}\\n\"}}", text.replace('"', "\\\""));
        assert!(!redact(&json).contains(&secret), "{name} in JSON");
    }
}

#[test]
fn encoded_copies_are_taken_out() {
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for (name, secret) in
        samples().into_iter().filter(|(name, _)| !matches!(*name, "aws secret" | "azure storage" | "bearer"))
    {
        for code in [
            STANDARD.encode(&secret),
            STANDARD.encode(format!("user:{secret}\n")),
            URL_SAFE_NO_PAD.encode(&secret),
            STANDARD.encode(STANDARD.encode(&secret)),
            hex::encode(&secret),
            percent(&secret),
        ] {
            let text = format!("payload={code} end");
            assert!(!redact(&text).contains(&code), "{name}: {code}");
        }
    }
}

#[test]
fn key_blocks_and_urls_with_passwords_are_taken_out() {
    let body = noise(MIXED, 64);
    let pem = ["-----BEGIN RSA PRIVATE", " KEY-----\n", &body, "\n-----END RSA PRIVATE", " KEY-----\n"].concat();
    assert_eq!(redact(&format!("a\n{pem}b")), format!("a\n{MARK}\nb"));
    let cut = ["-----BEGIN OPENSSH PRIVATE", " KEY-----\\n", &body].concat();
    assert_eq!(redact(&cut), MARK);
    assert!(!redact("-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----").contains(MARK));
    assert_eq!(redact("postgres://app:s3cr%21t@db.x/y"), format!("postgres://app:{MARK}@db.x/y"));
    assert_eq!(redact("https://example.com:8080/a@b"), "https://example.com:8080/a@b");
    let token = noise(MIXED, 30);
    assert_eq!(
        redact(&format!("git clone https://{token}@github.com/a/b")),
        format!("git clone https://{MARK}@github.com/a/b")
    );
}

#[test]
fn telling_names_give_random_values_away() {
    let value = ["Tr0ub4", "dor&3x"].concat();
    for text in [
        format!("password = \"{value}\""),
        format!("DB_PASSWORD: '{value}'"),
        format!("{{\"client_secret\": \"{value}\"}}"),
        format!("{{\\\"client_secret\\\": \\\"{value}\\\"}}"),
        format!("export API_KEY={value}"),
        format!("config['api-key'] = \"{value}\";"),
        format!("const apiKey = `{value}`"),
        format!("token := \"{value}\""),
    ] {
        let clean = redact(&text);
        assert!(!clean.contains(&value) && clean.contains(MARK), "{text} → {clean}");
    }
}

#[test]
fn ordinary_code_and_prose_stay_as_they_are() {
    for text in [
        "password = os.environ[\"DB_PASSWORD\"]",
        "password = \"changeme\"",
        "token = request.headers.get(\"Authorization\")",
        "PASSWORD_FIELD = \"password_confirmation\"",
        "secret_key = settings.SECRET_KEY_2",
        "api_key: ${{ secrets.API_KEY }}",
        "if token == expected_token: return",
        "hashlib.sha256(data).hexdigest()",
        "8f14e45fceea167a5a36dedd4bea2543e9c8a1b2",
        "sha512-abc/def+ghi==",
        "def tokenize(self, tokenizer=DefaultTokenizer): pass",
        "The task-force asked for a password = \"Enter your password\" prompt",
        "https://github.com/owner/name/blob/main/src/some/very/long/path/to/a/file.rs",
        "use the basic authentication scheme described in section 4",
        "select_from_table_where_identifier_equals_something_long",
        "",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn spans_are_apart_and_on_character_boundaries() {
    let key = ["AK", "IA", &noise(UPPER, 16)].concat();
    let text = format!("é{key}é password=\"é{key}é1é\" ü");
    let spans = secrets_in(&text);
    assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
    assert!(spans.iter().all(|span| text.get(span.range()).is_some()));
    assert!(!redact(&text).contains(&key));
}

/// What begins like a secret, or like an encoding, again and again.
const BAITS: [&str; 24] = [
    "a://",
    "a://b:",
    "a://b:c@",
    "://aaaaaaaaaaaaaaaaaaaa@",
    "Bearer ",
    "Bearer a1",
    "token token ",
    "password: \"",
    "password=aB3dE5fG",
    "-----BEGIN",
    "-----BEGIN RSA PRIVATE KEY-----",
    "PuTTY-User-Key-File-1:",
    "eyJaaaaaaaa.",
    "xoxb-1",
    "A3T",
    "8Q~",
    "A",
    "Ab1",
    "0123456789abcdef",
    "%41",
    "QUFB",
    "QUFB=/",
    "=",
    "\u{e9}",
];

#[test]
fn hostile_runs_are_redacted_in_order_and_nothing_grows() {
    for bait in BAITS {
        let text = bait.repeat(20_000 / bait.len());
        let spans = secrets_in(&text);
        assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start), "{bait:?}");
        assert!(spans.iter().all(|span| text.get(span.range()).is_some()), "{bait:?}");
        assert!(redact(&text).len() <= text.len() + spans.len() * MARK.len(), "{bait:?}");
        assert_eq!(mask(&text).len(), text.len(), "{bait:?}");
    }
}

/// The work on encodings is bounded by what is decoded of a text, whatever is in it.
#[test]
fn no_more_is_decoded_than_a_few_times_the_text() {
    for bait in BAITS {
        let text = bait.repeat(20_000 / bait.len());
        let decoded = std::cell::Cell::new(0);
        encoded::find(&text, &[], |plain| {
            decoded.set(decoded.get() + plain.len());
            false
        });
        assert!(decoded.get() <= 5 * text.len(), "{bait:?}: {} of {}", decoded.get(), text.len());
    }
}
