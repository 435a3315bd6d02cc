//! Answers that come piece by piece, as server-sent events: put together until they are what the same server would have
//! answered at once. Pure.
//!
//! The format is that of the HTML standard's event streams, of which chat servers use the `data` lines: one JSON object each, the
//! last one `[DONE]`.

use serde_json::{Value, json};

use super::{ANSWER_BYTES, BadAnswer};

/// Choices of one call that are put together.
const CHOICES: usize = 8;

/// A stream that is being read.
#[derive(Debug, Default)]
pub struct Stream {
    /// Bytes of a line that has not ended yet.
    pending: Vec<u8>,
    choices: Vec<(String, Option<String>)>,
    model: Option<Value>,
    usage: Option<Value>,
    error: Option<Value>,
    read: usize,
    events: usize,
    done: bool,
}

impl Stream {
    /// Takes the next bytes, however they are cut.
    ///
    /// # Errors
    /// When there are too many, or an event is no JSON.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        self.read += bytes.len();
        if self.read > ANSWER_BYTES {
            return Err(BadAnswer::TooLong(self.read));
        }
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.line(&line)?;
        }
        Ok(())
    }

    /// Whether the server said that nothing more comes.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The answer as one body, as it would have come without a stream.
    ///
    /// # Errors
    /// When the stream ended before its answer did.
    pub fn into_body(mut self) -> Result<Vec<u8>, BadAnswer> {
        let rest = std::mem::take(&mut self.pending);
        self.line(&rest)?;
        if let Some(error) = self.error {
            return Ok(json!({ "error": error }).to_string().into_bytes());
        }
        // A stream that only broke off has neither said that it is done nor why each answer ended.
        let ended = self.done || !self.choices.is_empty() && self.choices.iter().all(|(_, finish)| finish.is_some());
        if !ended {
            return Err(BadAnswer::InBand { code: None, said: "the stream broke off before its end".to_owned() });
        }
        let choices: Vec<Value> = self
            .choices
            .into_iter()
            .map(|(text, finish)| json!({"message": {"content": text}, "finish_reason": finish}))
            .collect();
        let body = json!({"choices": choices, "model": self.model, "usage": self.usage});
        Ok(body.to_string().into_bytes())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), BadAnswer> {
        let text = String::from_utf8_lossy(line);
        let Some(data) = text.trim_end().strip_prefix("data:").map(str::trim) else { return Ok(()) };
        if data == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let event: Value = serde_json::from_str(data).map_err(|error| BadAnswer::NotJson(error.to_string()))?;
        self.events += 1;
        self.event(&event);
        Ok(())
    }

    fn event(&mut self, event: &Value) {
        let says = |name: &str| event.get(name).filter(|value| !value.is_null()).cloned();
        if let Some(error) = says("error") {
            self.error.get_or_insert(error);
        }
        self.model = self.model.take().or_else(|| says("model"));
        self.usage = says("usage").or_else(|| self.usage.take());
        for choice in event.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
            let index = choice.get("index").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            if index >= CHOICES {
                continue;
            }
            if self.choices.len() <= index {
                self.choices.resize(index + 1, (String::new(), None));
            }
            let Some((text, finish)) = self.choices.get_mut(index) else { continue };
            if let Some(piece) = choice.get("delta").and_then(|delta| delta.get("content")).and_then(Value::as_str) {
                text.push_str(piece);
            }
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                *finish = Some(reason.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Prompt;
    use crate::recall::completion::{Profile, read_all};

    const EVENTS: &str = concat!(
        ": a remark\n\n",
        "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\u{e9}\"}},{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3}}\n\n",
        "data: [DONE]\n\n",
    );

    fn prompt() -> Prompt {
        Prompt { system: String::new(), user: String::new(), max_tokens: 9 }
    }

    fn fed(pieces: &[&[u8]]) -> Result<Vec<u8>, BadAnswer> {
        let mut stream = Stream::default();
        for piece in pieces {
            stream.feed(piece)?;
        }
        stream.into_body()
    }

    #[test]
    fn a_stream_is_what_the_answer_would_have_been() {
        let all = read_all(Profile::Vllm, "x", &prompt(), &fed(&[EVENTS.as_bytes()]).unwrap()).unwrap();
        let said: Vec<_> = all.iter().map(|one| (one.text.as_str(), one.truncated, one.input_tokens)).collect();
        assert_eq!(said, [("h\u{e9}llo", false, 5), ("b", true, 0)]);
        assert_eq!((all[0].model.as_str(), all[0].output_tokens, all[0].estimated), ("m", 3, false));
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_answer() {
        let cut = EVENTS.find("\"llo\"").unwrap();
        for end in [cut, cut - 30] {
            let broken = fed(&[&EVENTS.as_bytes()[..end]]);
            assert!(broken.is_err(), "{broken:?}");
        }
        let at_event = EVENTS.find("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo\"}").unwrap();
        let said = fed(&[&EVENTS.as_bytes()[..at_event]]).unwrap_err();
        assert!(said.to_string().contains("broke off"), "{said}");
        assert!(fed(&[b""]).is_err());
    }

    #[test]
    fn an_error_in_a_stream_is_an_error() {
        let body = fed(&[b"data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\ndata: [DONE]\n"]).unwrap();
        let said = read_all(Profile::Chat, "x", &prompt(), &body).unwrap_err();
        assert_eq!(said, BadAnswer::InBand { code: Some(500), said: "out of memory".to_owned() });
    }

    #[test]
    fn too_much_is_refused() {
        let line = format!("data: {{\"x\":\"{}\"}}\n", "x".repeat(1000));
        let mut stream = Stream::default();
        let refused = (0..2000).find_map(|_| stream.feed(line.as_bytes()).err());
        assert!(matches!(refused, Some(BadAnswer::TooLong(_))));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_reads_the_same(cuts in proptest::collection::vec(0usize..EVENTS.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, EVENTS.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &EVENTS.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(fed(&pieces), fed(&[EVENTS.as_bytes()]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = fed(&[b"data: ", &bytes, b"\n"]);
        }
    }
}
