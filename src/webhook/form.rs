//! Deliveries as forms: what GitHub sends to a webhook that was made by hand and left at its first content type. The signature
//! covers the form as it came; the payload in it is the same JSON.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// How such a body begins. JSON never does.
const FIELD: &[u8] = b"payload=";

/// The JSON of a body: the body itself, or the one field of a form.
pub(super) fn payload(body: &[u8]) -> Cow<'_, [u8]> {
    match body.strip_prefix(FIELD) {
        None => Cow::Borrowed(body),
        Some(field) => Cow::Owned(decoded(field.split(|byte| *byte == b'&').next().unwrap_or(field))),
    }
}

/// Undoes the encoding of forms. What is no code stays as it is: then it is no JSON, and is refused as that.
fn decoded(field: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = field.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_holds_the_payload() {
        assert_eq!(&*payload(b"payload=%7B%22ref%22%3A%22a+b%2Bc%C3%A9%22%7D"), "{\"ref\":\"a b+c\u{e9}\"}".as_bytes());
        assert_eq!(&*payload(b"payload=%7b%7d&x=1"), b"{}");
        assert_eq!(&*payload(b"payload=%7B%2&%7"), b"{%2");
        assert_eq!(&*payload(b"payload=%zz%"), b"%zz%");
    }

    #[test]
    fn everything_else_is_taken_as_it_is() {
        for body in [&b"{\"a\":\"%41+\"}"[..], b"", b"\xff", b"Payload=%41", b"payload"] {
            assert_eq!(&*payload(body), body);
        }
    }
}
