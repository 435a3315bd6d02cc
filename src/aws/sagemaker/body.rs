//! What endpoint containers are sent and what they answer. Pure.
//!
//! Containers differ: vLLM, NIM and newer LMI ones speak OpenAI's chat, LMI (DJL) and TGI ones take `inputs` and `parameters`.
//! Errors may come inside an answer with status 200.

use serde_json::{Value, json};

use crate::model::{Completion, Prompt};

/// What a model's container speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// `messages` → `choices[0].message.content`.
    Chat,
    /// `inputs` and `parameters` → `generated_text`, as LMI (DJL) containers.
    Lmi,
    /// The same with details, as TGI's `/generate`.
    Tgi,
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    #[error("the container answered with an error: {0}; see the endpoint's log")]
    InBand(String),
    #[error("the container answered with something else than the profile {0:?} expects; set sagemaker.model_profile to what it speaks")]
    Shape(Profile),
    #[error("the answer is not JSON: {0}")]
    NotJson(String),
    #[error("the container answered without a vector, or with one that holds no numbers or only zeros")]
    NoVector,
    #[error("the vectors of this endpoint have {found} numbers and {wanted} are configured; set sagemaker.embedding_dimensions")]
    Dimensions { found: usize, wanted: usize },
}

/// Text shown of an error of a container, characters.
const SHOWN: usize = 300;

/// The request body for a prompt. `max_new_tokens` is always said: LMI's own default is 30.
#[must_use]
pub fn request(profile: Profile, model: Option<&str>, prompt: &Prompt) -> Value {
    match profile {
        Profile::Chat => {
            let mut body = json!({
                "messages": [
                    { "role": "system", "content": prompt.system },
                    { "role": "user", "content": prompt.user },
                ],
                "max_tokens": prompt.max_tokens,
                "temperature": 0,
            });
            if let (Some(model), Some(fields)) = (model, body.as_object_mut()) {
                fields.insert("model".to_owned(), json!(model));
            }
            body
        }
        Profile::Lmi => json!({
            "inputs": format!("{}\n\n{}", prompt.system, prompt.user),
            "parameters": { "max_new_tokens": prompt.max_tokens, "do_sample": false, "details": true },
        }),
        Profile::Tgi => json!({
            "inputs": format!("{}\n\n{}", prompt.system, prompt.user),
            "parameters": {
                "max_new_tokens": prompt.max_tokens, "do_sample": false, "details": true, "return_full_text": false,
            },
        }),
    }
}

/// Reads a container's answer. Tokens that it does not count are estimated at four bytes each.
///
/// # Errors
/// When it is an error inside an answer, or of another shape.
pub fn completion(profile: Profile, endpoint: &str, prompt: &Prompt, body: &[u8]) -> Result<Completion, BadAnswer> {
    let answer = json_of(body)?;
    let (text, finish) = match profile {
        Profile::Chat => {
            let choice = answer.get("choices").and_then(|choices| choices.get(0)).ok_or(BadAnswer::Shape(profile))?;
            let text = choice.get("message").and_then(|message| message.get("content")).and_then(Value::as_str);
            (text, choice.get("finish_reason"))
        }
        Profile::Lmi | Profile::Tgi => {
            let one = answer.get(0).unwrap_or(&answer);
            let finish = one.get("details").and_then(|details| details.get("finish_reason"));
            (one.get("generated_text").and_then(Value::as_str), finish)
        }
    };
    let text = text.ok_or(BadAnswer::Shape(profile))?.to_owned();
    let usage = |name: &str| answer.get("usage").and_then(|usage| usage.get(name)).and_then(Value::as_u64);
    let generated = || {
        let one = answer.get(0).unwrap_or(&answer);
        one.get("details").and_then(|details| details.get("generated_tokens")).and_then(Value::as_u64)
    };
    let output = usage("completion_tokens").or_else(generated);
    Ok(Completion {
        model: answer.get("model").and_then(Value::as_str).unwrap_or(endpoint).to_owned(),
        input_tokens: usage("prompt_tokens").unwrap_or_else(|| tokens(prompt.system.len() + prompt.user.len())),
        output_tokens: output.unwrap_or_else(|| tokens(text.len())),
        truncated: finish.and_then(Value::as_str) == Some("length"),
        text,
    })
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}

/// The request body for one text to embed, as TEI and Hugging Face containers take it. A longer one is cut by the container.
#[must_use]
pub fn embedding_request(text: &str) -> Value {
    json!({ "inputs": text, "truncate": true })
}

/// Reads a vector, makes it a unit vector, and checks its length.
///
/// # Errors
/// When there is none, or it has another length.
pub fn embedding(body: &[u8], dimensions: usize) -> Result<Vec<f32>, BadAnswer> {
    let answer = json_of(body)?;
    let mut at = answer.get("embeddings").or_else(|| answer.get("embedding")).or_else(|| answer.get("vectors")).unwrap_or(&answer);
    // `[[…]]` and `[[[…], […]]]`: one text; the innermost level are tokens when there are several.
    while at.as_array().is_some_and(|outer| outer.len() == 1 && outer.iter().all(Value::is_array)) {
        at = at.get(0).unwrap_or(&Value::Null);
    }
    let vector = match at.as_array() {
        Some(rows) if rows.first().is_some_and(Value::is_array) => mean(rows)?,
        Some(numbers) => row(numbers)?,
        None => return Err(BadAnswer::NoVector),
    };
    if vector.len() != dimensions {
        return Err(BadAnswer::Dimensions { found: vector.len(), wanted: dimensions });
    }
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return Err(BadAnswer::NoVector);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a part of a unit vector is between -1 and 1")]
    let unit = vector.into_iter().map(|x| (x / length) as f32).collect();
    Ok(unit)
}

fn row(numbers: &[Value]) -> Result<Vec<f64>, BadAnswer> {
    numbers.iter().map(|number| number.as_f64().ok_or(BadAnswer::NoVector)).collect()
}

/// The mean of the tokens' vectors.
fn mean(rows: &[Value]) -> Result<Vec<f64>, BadAnswer> {
    let mut sum: Vec<f64> = Vec::new();
    for one in rows {
        let one = row(one.as_array().ok_or(BadAnswer::NoVector)?)?;
        if sum.is_empty() {
            sum = vec![0.0; one.len()];
        }
        if one.len() != sum.len() {
            return Err(BadAnswer::NoVector);
        }
        sum.iter_mut().zip(&one).for_each(|(sum, x)| *sum += x);
    }
    #[expect(clippy::cast_precision_loss, reason = "a text has far fewer tokens than a float can count")]
    let count = rows.len() as f64;
    Ok(sum.into_iter().map(|x| x / count).collect())
}

/// The JSON of an answer that is not an error in disguise.
fn json_of(body: &[u8]) -> Result<Value, BadAnswer> {
    let answer: Value = serde_json::from_slice(body).map_err(|error| BadAnswer::NotJson(error.to_string()))?;
    let one = answer.get(0).unwrap_or(&answer);
    let says = |name: &str| one.get(name).filter(|value| !value.is_null());
    let error = says("error").or_else(|| says("errorMessage"));
    // LMI: {"code": 424, "message": …}; vLLM: {"object": "error", "message": …}.
    let disguised = says("object").and_then(Value::as_str) == Some("error")
        || (says("code").is_some_and(Value::is_number) && says("choices").is_none());
    match (error, disguised) {
        (Some(error), _) => Err(BadAnswer::InBand(shown(error))),
        (None, true) => Err(BadAnswer::InBand(shown(says("message").unwrap_or(one)))),
        (None, false) => Ok(answer),
    }
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

    fn read(profile: Profile, body: &str) -> Result<Completion, BadAnswer> {
        completion(profile, "llama", &prompt(), body.as_bytes())
    }

    #[test]
    fn every_profile_says_how_much_may_be_written() {
        assert_eq!(request(Profile::Chat, Some("m"), &prompt())["max_tokens"], 700);
        for profile in [Profile::Lmi, Profile::Tgi] {
            assert_eq!(request(profile, None, &prompt())["parameters"]["max_new_tokens"], 700, "{profile:?}");
        }
        assert_eq!(request(Profile::Chat, Some("m"), &prompt())["model"], "m");
        assert!(request(Profile::Chat, None, &prompt()).get("model").is_none());
    }

    #[test]
    fn a_chat_answer_is_read_with_its_counts() {
        let body = r#"{"model":"llama-3","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":2}}"#;
        let read = read(Profile::Chat, body).unwrap();
        assert_eq!((read.text.as_str(), read.model.as_str(), read.truncated), ("hi", "llama-3", false));
        assert_eq!((read.input_tokens, read.output_tokens), (11, 2));
    }

    #[test]
    fn generated_text_is_read_from_an_object_or_a_list() {
        for body in [
            r#"{"generated_text":"hello!!","details":{"finish_reason":"length","generated_tokens":3}}"#,
            r#"[{"generated_text":"hello!!","details":{"finish_reason":"length","generated_tokens":3}}]"#,
        ] {
            for profile in [Profile::Lmi, Profile::Tgi] {
                let read = read(profile, body).unwrap();
                assert_eq!((read.text.as_str(), read.truncated, read.output_tokens), ("hello!!", true, 3), "{body}");
                assert_eq!((read.model.as_str(), read.input_tokens), ("llama", 3));
            }
        }
    }

    #[test]
    fn errors_inside_answers_are_errors() {
        for body in [
            r#"{"error":"CUDA out of memory"}"#,
            r#"{"error":{"message":"CUDA out of memory","type":"x"}}"#,
            r#"{"object":"error","message":"CUDA out of memory","code":400}"#,
            r#"{"code":424,"message":"CUDA out of memory"}"#,
            r#"[{"error":"CUDA out of memory"}]"#,
        ] {
            let said = BadAnswer::InBand("CUDA out of memory".to_owned());
            assert_eq!(read(Profile::Chat, body), Err(said.clone()), "{body}");
            assert_eq!(embedding(body.as_bytes(), 2), Err(said), "{body}");
        }
    }

    #[test]
    fn another_shape_names_the_profile() {
        assert_eq!(read(Profile::Chat, r#"{"generated_text":"x"}"#), Err(BadAnswer::Shape(Profile::Chat)));
        assert_eq!(read(Profile::Tgi, r#"{"choices":[]}"#), Err(BadAnswer::Shape(Profile::Tgi)));
        assert!(matches!(read(Profile::Chat, "<html>"), Err(BadAnswer::NotJson(_))));
    }

    #[test]
    fn vectors_of_any_nesting_become_unit_vectors() {
        for body in
            ["[3,4]", "[[3,4]]", "[[[3,4]]]", r#"{"embeddings":[[3,4]]}"#, r#"{"embedding":[3,4]}"#, "[[[2,4],[4,4]]]"]
        {
            let vector = embedding(body.as_bytes(), 2).unwrap();
            assert!((vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6, "{body}: {vector:?}");
        }
    }

    #[test]
    fn a_vector_of_another_length_or_of_nothing_is_refused() {
        assert_eq!(embedding(b"[1,2,3]", 2), Err(BadAnswer::Dimensions { found: 3, wanted: 2 }));
        for body in ["[0,0]", "[]", "{}", r#"["a","b"]"#, "[[1,2],[1]]", "null"] {
            assert!(embedding(body.as_bytes(), 2).is_err(), "{body}");
        }
    }
}
