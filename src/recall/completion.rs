//! What model servers are asked and what they answer, whoever carries it to them. Pure.
//!
//! Servers differ: vLLM, NIM, llama.cpp, Ollama and newer LMI containers speak OpenAI's chat; LMI (DJL) and TGI containers also take
//! `inputs` and `parameters`. Chat is better where there is a choice: the server then puts the model's own marks around
//! instructions and data. Errors may come inside an answer with status 200.

use serde_json::{Value, json};

use crate::model::{Completion, Prompt, Sampling};

pub mod stream;

/// What a model's server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// OpenAI's chat: `messages` → `choices[0].message.content`.
    Chat,
    /// The same as vLLM serves it.
    Vllm,
    /// The same as NVIDIA NIM serves it: one answer a call.
    Nim,
    /// `inputs` and `parameters` → `generated_text`, as LMI (DJL) containers.
    Lmi,
    /// The same as TGI containers take it.
    Tgi,
}

impl Profile {
    #[must_use]
    pub fn is_chat(self) -> bool {
        matches!(self, Self::Chat | Self::Vllm | Self::Nim)
    }

    /// Whether a server of this profile is asked for several answers in one call.
    #[must_use]
    pub fn gives_several(self) -> bool {
        matches!(self, Self::Chat | Self::Vllm)
    }

    /// What is asked for at a plain address.
    #[must_use]
    pub fn route(self) -> &'static str {
        match self {
            Self::Chat | Self::Vllm | Self::Nim => "/chat/completions",
            Self::Lmi => "/invocations",
            Self::Tgi => "/generate",
        }
    }
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// With the status that the server would have answered with, where it says one.
    #[error("the server answered with an error{}: {said}", code.map(|code| format!(" ({code})")).unwrap_or_default())]
    InBand { code: Option<u16>, said: String },
    #[error("the answer has no choice and no text; is this a server of the profile {0:?}?")]
    Empty(Profile),
    #[error("the answer is not JSON ({0}); is this a model's server?")]
    NotJson(String),
    #[error("the answer has {0} bytes, more than {ANSWER_BYTES}")]
    TooLong(usize),
}

/// Largest answer that is read, bytes.
pub const ANSWER_BYTES: usize = 1024 * 1024;
/// Text shown of an error of a server, characters.
const SHOWN: usize = 300;
/// Answers read of one call.
const CHOICES: usize = 8;
/// Bytes of a token, where the server does not count them: source code has three to four.
const TOKEN_BYTES: usize = 3;

/// The request body for a prompt. How much may be written is always said: LMI's own default is 30 tokens.
#[must_use]
pub fn request(profile: Profile, model: Option<&str>, prompt: &Prompt, sampling: &Sampling) -> Value {
    let mut body = if profile.is_chat() {
        let messages = json!([{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]);
        json!({"messages": messages, "max_tokens": prompt.max_tokens, "temperature": sampling.temperature, "stream": false})
    } else {
        let parameters = json!({
            "max_new_tokens": prompt.max_tokens, "do_sample": false, "return_full_text": false, "details": true,
        });
        json!({"inputs": inputs(prompt), "parameters": parameters})
    };
    let place = if profile.is_chat() { Some(&mut body) } else { body.get_mut("parameters") };
    if let Some(fields) = place.and_then(Value::as_object_mut).filter(|_| sampling.temperature > 0.0) {
        if !profile.is_chat() {
            fields.insert("do_sample".to_owned(), json!(true));
            fields.insert("temperature".to_owned(), json!(sampling.temperature));
        }
        fields.insert("seed".to_owned(), json!(sampling.seed));
        if sampling.count > 1 && profile.gives_several() {
            fields.insert("n".to_owned(), json!(sampling.count));
        }
    }
    if let (Some(model), Some(fields), true) = (model, body.as_object_mut(), profile.is_chat()) {
        fields.insert("model".to_owned(), json!(model));
    }
    body
}

fn inputs(prompt: &Prompt) -> String {
    format!("{}\n\n{}", prompt.system, prompt.user)
}

/// Reads the first answer; see [`read_all`].
///
/// # Errors
/// As [`read_all`].
pub fn read(profile: Profile, asked: &str, prompt: &Prompt, body: &[u8]) -> Result<Completion, BadAnswer> {
    read_all(profile, asked, prompt, body)?.into_iter().next().ok_or(BadAnswer::Empty(profile))
}

/// Reads every answer of one call. `asked` names the model where the answer does not. Tokens that the server does not count are
/// estimated, and marked so; what it counts for all answers together stands with the first.
///
/// # Errors
/// When it is an error inside an answer, has no text, or is of another shape.
pub fn read_all(profile: Profile, asked: &str, prompt: &Prompt, body: &[u8]) -> Result<Vec<Completion>, BadAnswer> {
    let answer = json_of(body)?;
    let said = if profile.is_chat() { chat(&answer) } else { vec![generated(&answer)] };
    if said.iter().any(|(_, finish)| *finish == Some("error")) {
        return Err(BadAnswer::InBand { code: None, said: "it stopped with an error".to_owned() });
    }
    let counted = |name: &str| answer.get("usage")?.get(name)?.as_u64();
    let input = counted("prompt_tokens");
    let output = counted("completion_tokens").or_else(|| details(first(&answer))?.get("generated_tokens")?.as_u64());
    let name = answer.get("model").and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or(asked);
    let mut all = Vec::with_capacity(said.len());
    for (text, finish) in said {
        let mut text = text.ok_or(BadAnswer::Empty(profile))?;
        if !profile.is_chat() {
            // Some containers repeat the question, whatever they are told.
            text = text.strip_prefix(&inputs(prompt)).unwrap_or(text);
        }
        let first = all.is_empty();
        let once = |counted: Option<u64>| counted.map(|n| if first { n } else { 0 });
        let question = if first { tokens(prompt.system.len() + prompt.user.len()) } else { 0 };
        all.push(Completion {
            model: name.to_owned(),
            estimated: input.is_none() || output.is_none(),
            input_tokens: once(input).unwrap_or(question),
            output_tokens: once(output).unwrap_or_else(|| tokens(text.len())),
            truncated: finish == Some("length"),
            text: text.to_owned(),
        });
    }
    if all.is_empty() { Err(BadAnswer::Empty(profile)) } else { Ok(all) }
}

/// Text and reason of the end of each choice.
fn chat(answer: &Value) -> Vec<(Option<&str>, Option<&str>)> {
    let choices = answer.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |choice| {
        let choice: &Value = choice;
        let finish = choice.get("finish_reason").and_then(Value::as_str);
        let text = choice.get("message").and_then(|message| message.get("content")).and_then(Value::as_str);
        // Cut off while it still reasoned, a server has no content to show.
        (text.or_else(|| (finish == Some("length")).then_some("")), finish)
    };
    choices.iter().take(CHOICES).map(one).collect()
}

fn generated(answer: &Value) -> (Option<&str>, Option<&str>) {
    let one = first(answer);
    let finish = details(one).and_then(|details| details.get("finish_reason")).and_then(Value::as_str);
    (one.get("generated_text").and_then(Value::as_str), finish)
}

/// TGI and some others answer with a list of one.
fn first(answer: &Value) -> &Value {
    answer.get(0).unwrap_or(answer)
}

fn details(one: &Value) -> Option<&Value> {
    one.get("details").filter(|details| details.is_object())
}

/// Tokens of so many bytes, estimated: never fewer than a tokenizer for code would make of most source text.
#[must_use]
pub fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(TOKEN_BYTES)).unwrap_or(u64::MAX)
}

/// The JSON of an answer that is not an error in disguise.
///
/// # Errors
/// When it is one, or no JSON.
pub fn json_of(body: &[u8]) -> Result<Value, BadAnswer> {
    if body.len() > ANSWER_BYTES {
        return Err(BadAnswer::TooLong(body.len()));
    }
    let answer: Value = serde_json::from_slice(body).map_err(|error| BadAnswer::NotJson(error.to_string()))?;
    match disguised(&answer) {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}

/// `{"error": "…"}` and `{"error": {"message", "code"}}` (vLLM, TGI), `{"object": "error", "message", "code"}` (older vLLM),
/// `{"code": 424, "message"}` (LMI), `{"detail": "…"}` (FastAPI), each also as the only one of a list.
fn disguised(answer: &Value) -> Option<BadAnswer> {
    let one = first(answer);
    let says = |name: &str| one.get(name).filter(|value| !value.is_null());
    let code = |of: &Value| of.get("code").or_else(|| of.get("status"))?.as_u64().and_then(|n| u16::try_from(n).ok());
    let useful = ["choices", "generated_text", "data", "embeddings", "embedding", "vectors"];
    if let Some(error) = says("error").or_else(|| says("errorMessage")) {
        return Some(BadAnswer::InBand { code: code(error).or_else(|| code(one)), said: shown(error) });
    }
    let is_error = says("object").and_then(Value::as_str) == Some("error");
    if !is_error && useful.iter().any(|name| says(name).is_some()) {
        return None;
    }
    let said = says("message").or_else(|| says("detail"));
    let said = said.filter(|_| is_error || code(one).is_some() || says("detail").is_some());
    said.map(|said| BadAnswer::InBand { code: code(one), said: shown(said) })
}

fn shown(value: &Value) -> String {
    let text = value.get("message").and_then(Value::as_str).or_else(|| value.as_str());
    let text = text.map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt { system: "rules".to_owned(), user: "code".to_owned(), max_tokens: 700 }
    }

    fn answer(profile: Profile, body: &str) -> Result<Completion, BadAnswer> {
        read(profile, "llama", &prompt(), body.as_bytes())
    }

    #[test]
    fn every_profile_says_how_much_may_be_written() {
        let chat = request(Profile::Chat, Some("m"), &prompt(), &Sampling::ONE);
        assert_eq!((chat["max_tokens"].as_u64(), chat["model"].as_str()), (Some(700), Some("m")));
        assert_eq!(chat["messages"][1], json!({"role": "user", "content": "code"}));
        assert!(request(Profile::Chat, None, &prompt(), &Sampling::ONE).get("model").is_none());
        for profile in [Profile::Lmi, Profile::Tgi] {
            let body = request(profile, Some("m"), &prompt(), &Sampling::ONE);
            assert_eq!(body["parameters"]["max_new_tokens"], 700, "{profile:?}");
            assert_eq!(body["inputs"], "rules\n\ncode");
        }
    }

    #[test]
    fn several_answers_are_asked_for_where_a_server_gives_them() {
        let several = Sampling { count: 3, temperature: 0.5, seed: 7 };
        for (profile, n) in [(Profile::Chat, Some(3)), (Profile::Vllm, Some(3)), (Profile::Nim, None)] {
            let body = request(profile, Some("m"), &prompt(), &several);
            assert_eq!(
                (body["n"].as_u64(), body["seed"].as_u64(), body["temperature"].as_f64()),
                (n, Some(7), Some(0.5))
            );
        }
        for profile in [Profile::Lmi, Profile::Tgi] {
            let body = request(profile, Some("m"), &prompt(), &several);
            assert_eq!((&body["parameters"]["do_sample"], &body["parameters"]["seed"]), (&json!(true), &json!(7)));
            assert!(body.get("n").is_none() && body["parameters"].get("n").is_none(), "{body}");
        }
        let alone = request(Profile::Chat, Some("m"), &prompt(), &Sampling { temperature: 0.0, ..several });
        assert!(alone.get("n").is_none(), "the likeliest answer is one");
    }

    #[test]
    fn several_answers_are_read_and_their_tokens_counted_once() {
        let body = r#"{"choices":[{"message":{"content":"one"}},{"message":{"content":"two"},"finish_reason":"length"}],
            "usage":{"prompt_tokens":11,"completion_tokens":4}}"#;
        let all = read_all(Profile::Vllm, "m", &prompt(), body.as_bytes()).unwrap();
        let said: Vec<_> = all.iter().map(|one| (one.text.as_str(), one.truncated)).collect();
        assert_eq!(said, [("one", false), ("two", true)]);
        let tokens: Vec<_> = all.iter().map(|one| (one.input_tokens, one.output_tokens)).collect();
        assert_eq!(tokens, [(11, 4), (0, 0)]);
    }

    #[test]
    fn a_chat_answer_is_read_with_its_counts() {
        let body = r#"{"model":"llama-3","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":11,"completion_tokens":2}}"#;
        let read = answer(Profile::Chat, body).unwrap();
        assert_eq!((read.text.as_str(), read.model.as_str(), read.truncated), ("hi", "llama-3", false));
        assert_eq!((read.input_tokens, read.output_tokens, read.estimated), (11, 2, false));
        let bare = answer(Profile::Chat, r#"{"choices":[{"message":{"content":"hello you"}}]}"#).unwrap();
        assert_eq!((bare.input_tokens, bare.output_tokens, bare.estimated), (3, 3, true));
        assert_eq!(bare.model, "llama");
    }

    #[test]
    fn an_answer_that_was_cut_off_says_so_with_or_without_text() {
        let body = |content: &str| {
            format!(r#"{{"choices":[{{"message":{{"content":{content}}},"finish_reason":"length"}}]}}"#)
        };
        for (content, text) in [("\"half\"", "half"), ("null", "")] {
            let read = answer(Profile::Chat, &body(content)).unwrap();
            assert_eq!((read.text.as_str(), read.truncated), (text, true));
        }
    }

    #[test]
    fn generated_text_is_read_from_an_object_or_a_list_without_the_question() {
        let one = r#"{"generated_text":"hello!!","details":{"finish_reason":"length","generated_tokens":3}}"#;
        let echoed = one.replace("hello", "rules\\n\\ncodehello");
        for body in [one.to_owned(), format!("[{one}]"), echoed] {
            for profile in [Profile::Lmi, Profile::Tgi] {
                let read = answer(profile, &body).unwrap();
                assert_eq!((read.text.as_str(), read.truncated, read.output_tokens), ("hello!!", true, 3), "{body}");
                assert_eq!((read.model.as_str(), read.input_tokens, read.estimated), ("llama", 3, true));
            }
        }
    }

    #[test]
    fn errors_inside_answers_are_errors() {
        for (body, code) in [
            (r#"{"error":"out of memory"}"#, None),
            (r#"{"error":{"message":"out of memory","type":"x","code":500}}"#, Some(500)),
            (r#"{"object":"error","message":"out of memory","code":400}"#, Some(400)),
            (r#"{"code":424,"message":"out of memory"}"#, Some(424)),
            (r#"[{"error":"out of memory"}]"#, None),
            (r#"{"detail":"out of memory"}"#, None),
            (r#"{"error":"out of memory","choices":[]}"#, None),
        ] {
            let said = BadAnswer::InBand { code, said: "out of memory".to_owned() };
            assert_eq!(answer(Profile::Chat, body), Err(said.clone()), "{body}");
            assert_eq!(answer(Profile::Lmi, body), Err(said), "{body}");
        }
        let stopped = r#"{"generated_text":"","details":{"finish_reason":"error"}}"#;
        assert!(matches!(answer(Profile::Lmi, stopped), Err(BadAnswer::InBand { .. })));
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(5000));
        assert!(answer(Profile::Chat, &long).unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn another_shape_names_the_profile() {
        for body in ["{}", "[1]", "[]", "7", r#"{"choices":[]}"#, r#"{"choices":[{"message":{}}]}"#] {
            assert_eq!(answer(Profile::Chat, body), Err(BadAnswer::Empty(Profile::Chat)), "{body}");
        }
        assert_eq!(answer(Profile::Tgi, r#"{"choices":[]}"#), Err(BadAnswer::Empty(Profile::Tgi)));
        for body in ["", "<html>"] {
            assert!(matches!(answer(Profile::Chat, body), Err(BadAnswer::NotJson(_))));
        }
        let much = format!("\"{}\"", "x".repeat(ANSWER_BYTES));
        assert_eq!(answer(Profile::Chat, &much), Err(BadAnswer::TooLong(ANSWER_BYTES + 2)));
    }
}
