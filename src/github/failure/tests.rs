//! What each refusal means, and that nothing of a body is shown.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
    let pair =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Answer { status, headers: HeaderMap::from_iter(headers.iter().map(pair)), body: body.as_bytes().to_vec() }
}

fn kind(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ErrorKind {
    Failure::of(&answer(status, headers, body), 1_000_000_000_000).kind
}

fn throttled(seconds: u64) -> ErrorKind {
    ErrorKind::Throttled(Duration::from_secs(seconds))
}

#[test]
fn statuses_mean_what_the_caller_can_do() {
    let said = |text: &str| format!("{{\"message\":\"{text}\"}}");
    for (status, body, expected) in [
        (401, said("Bad credentials"), ErrorKind::Denied),
        (403, said("Resource not accessible by integration"), ErrorKind::Denied),
        (403, said("Repository was archived so is read-only."), ErrorKind::Denied),
        (404, said("Not Found"), ErrorKind::Missing),
        (409, said("Git Repository is empty."), ErrorKind::Missing),
        (409, said("Conflict"), ErrorKind::Conflict),
        (410, said("Issues are disabled for this repo"), ErrorKind::Missing),
        (422, said("Repository rule violations found"), ErrorKind::Denied),
        (422, said("Reference update failed"), ErrorKind::Denied),
        (403, "<html>no entry; complaints to abuse@example.com</html>".to_owned(), ErrorKind::Denied),
        (422, said("Validation Failed"), ErrorKind::Malformed),
        (451, said("Repository access blocked"), ErrorKind::Denied),
        (500, String::new(), ErrorKind::Unavailable),
        (502, "<html>".to_owned(), ErrorKind::Unavailable),
        (302, String::new(), ErrorKind::Denied),
        (418, "[]".to_owned(), ErrorKind::Malformed),
    ] {
        assert_eq!(kind(status, &[], &body), expected, "{status} {body}");
    }
}

#[test]
fn haste_has_a_price_that_the_server_names_or_a_minute() {
    let secondary = r#"{"message":"You have exceeded a secondary rate limit."}"#;
    assert_eq!(kind(403, &[("retry-after", "17")], ""), throttled(17));
    assert_eq!(kind(429, &[("retry-after", "17")], ""), throttled(17));
    assert_eq!(kind(503, &[("retry-after", "5")], ""), throttled(5));
    assert_eq!(kind(429, &[], "{}"), throttled(60));
    assert_eq!(kind(403, &[], secondary), throttled(60));
    assert_eq!(kind(429, &[("retry-after", "0")], ""), throttled(1));
    assert_eq!(kind(429, &[("retry-after", "999999999")], ""), throttled(3700));
    assert_eq!(kind(404, &[("x-ratelimit-remaining", "0")], ""), ErrorKind::Missing);
    for page in
        ["<html>You have exceeded a secondary rate limit</html>", r#"{"message":null,"errors":"API rate limit"}"#]
    {
        assert_eq!(kind(403, &[], page), throttled(60), "{page}");
    }
    assert_eq!(kind(429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], ""), throttled(60));
}

#[test]
fn the_limit_is_renewed_by_the_servers_clock() {
    let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000000100")];
    // Our clock says 1,000,000,000 s; the server's says 40 s more.
    let [remaining, reset] = spent;
    let dated = [remaining, reset, ("date", "Sun, 09 Sep 2001 01:47:20 GMT")];
    assert_eq!(Failure::of(&answer(403, &dated, ""), 1_000_000_000_000).kind, throttled(61));
    assert_eq!(Failure::of(&answer(403, &spent, ""), 1_000_000_000_000).kind, throttled(101));
}

#[test]
fn a_missing_permission_is_named() {
    let lacking = Failure::of(&answer(403, &[("x-accepted-github-permissions", "checks=write")], "{}"), 0);
    let chain = lacking.into_port("try").chain();
    assert!(chain.contains("checks=write") && chain.contains("grant it"), "{chain}");
}

#[test]
fn who_can_let_us_in_is_named() {
    let said = |text: &str| format!("{{\"message\":\"{text}\"}}");
    for (headers, text, remedy) in [
        (&[][..], "This installation has been suspended", "its owner can end that"),
        (&[], "Sorry. Your account was suspended.", "its owner can end that"),
        (
            &[],
            "the `acme` organization has an IP allow list enabled, and your IP address is not permitted",
            "NAT gateway",
        ),
        (&[("x-github-sso", "required; url=https://github.com/x")], "Resource protected", "single sign-on"),
        (&[], "Resource protected by organization SAML enforcement.", "single sign-on"),
        (&[], "Unable to create comment because issue is locked.", "unlock it"),
    ] {
        let failure = Failure::of(&answer(403, headers, &said(text)), 0);
        assert_eq!(failure.kind, ErrorKind::Denied, "{text}");
        let chain = failure.into_port("try").chain();
        assert!(chain.contains(remedy) && !chain.contains("acme"), "{chain}");
    }
}

#[test]
fn a_list_says_itself_whether_it_goes_on() {
    let page = |link: &'static str| answer(200, &[("link", link)], "[]").has_next();
    assert!(page("<https://api.github.com/x?page=3>; rel=\"next\", <https://api.github.com/x?page=9>; rel=\"last\""));
    assert!(page("<https://api.github.com/x?a=1,2&page=1>; rel=\"prev\", <https://x/?page=3>; rel=next"));
    assert!(
        !page("<https://api.github.com/x?page=1>; rel=\"prev\"") && !page("<https://x/?rel=\"next\">; rel=\"last\"")
    );
    assert!(!answer(200, &[], "[]").has_next());
}

#[test]
fn a_diff_that_takes_too_long_is_not_a_call_that_is_wrong() {
    let body = r#"{"message":"Server Error: Sorry, this diff is taking too long to generate.","errors":[{"resource":"Comparison","field":"diff","code":"not_available"}]}"#;
    for status in [422, 500, 502] {
        assert!(Failure::of(&answer(status, &[], body), 0).is_about_the_diff(), "{status}");
    }
    assert!(!Failure::of(&answer(404, &[], body), 0).is_about_the_diff());
    assert!(!Failure::of(&answer(500, &[], "<html>Server Error</html>"), 0).is_about_the_diff());
}

#[test]
fn nothing_of_a_body_or_a_hostile_header_is_shown() {
    let body = r#"{"message":"s3cret-in-body","errors":[{"message":"src/private.py"}]}"#;
    let headers = [("x-accepted-github-permissions", "<!here> \u{1b}s3cret"), ("location", "https://s3cret.example")];
    let headers = [(headers[0].0, "<!here>[x](y)"), headers[1]];
    for status in [301, 400, 401, 403, 404, 409, 410, 418, 422, 451, 500] {
        let failure = Failure::of(&answer(status, &headers, body), 0);
        let shown = format!("{failure:?}") + &failure.into_port("try").chain();
        assert!(!shown.contains("s3cret") && !shown.contains("private.py") && !shown.contains('<'), "{shown}");
    }
    let malformed = answer(200, &[], body).json::<Vec<u8>>().unwrap_err();
    assert!(!malformed.into_port("try").chain().contains("s3cret"));
}

#[test]
fn json_of_any_shape_and_depth_is_an_error_and_no_panic() {
    let deep = "[".repeat(100_000);
    for body in [deep.as_str(), "", "null", "7", "{\"a\":", "\u{0}"] {
        assert_eq!(answer(200, &[], body).json::<Vec<String>>().unwrap_err().kind, ErrorKind::Malformed);
        assert_eq!(kind(422, &[], body), ErrorKind::Malformed);
    }
}
