//! What embedding containers are asked and what they answer. Pure.

use serde_json::{Value, json};

use crate::recall::completion::{BadAnswer, json_of};

/// Why there is no vector to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVector {
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    #[error("the answer has no vector, or one that holds no numbers or only zeros; does the endpoint embed text?")]
    None,
    #[error(
        "the endpoint's vectors have {found} numbers and {wanted} are configured; set sagemaker.embedding_dimensions to {found}"
    )]
    Dimensions { found: usize, wanted: usize },
}

/// The request body for one text, as TEI and Hugging Face containers take it. One that is too long is cut by the container.
#[must_use]
pub fn request(text: &str) -> Value {
    json!({ "inputs": text, "truncate": true })
}

/// Reads the vector of one text, checks its length in numbers, and makes it a unit vector.
///
/// # Errors
/// When there is none, it has another length or no direction, or the answer is an error.
pub fn read(body: &[u8], dimensions: usize) -> Result<Vec<f32>, BadVector> {
    let answer = json_of(body)?;
    let vector = found(&answer).ok_or(BadVector::None)?;
    if vector.len() != dimensions {
        return Err(BadVector::Dimensions { found: vector.len(), wanted: dimensions });
    }
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    if !length.is_normal() {
        return Err(BadVector::None);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a part of a unit vector is between -1 and 1")]
    let unit = vector.into_iter().map(|x| (x / length) as f32).collect();
    Ok(unit)
}

/// `[…]`, `[[…]]`, `{"embeddings": …}`, OpenAI's `{"data": [{"embedding": …}]}`; of a vector for each token, their mean.
fn found(answer: &Value) -> Option<Vec<f64>> {
    let data = answer.get("data").and_then(|data| data.get(0)).unwrap_or(answer);
    let named = ["embedding", "embeddings", "vectors"].iter().find_map(|name| data.get(name));
    let mut at = named.unwrap_or(data);
    // One text: what is wrapped once more is the same.
    while let Some([only]) = at.as_array().map(Vec::as_slice).filter(|all| all.iter().all(Value::is_array)) {
        at = only;
    }
    let rows = at.as_array()?;
    match rows.first()? {
        Value::Array(_) => mean(rows),
        _ => numbers(at),
    }
}

fn numbers(row: &Value) -> Option<Vec<f64>> {
    row.as_array()?.iter().map(Value::as_f64).collect()
}

fn mean(rows: &[Value]) -> Option<Vec<f64>> {
    let mut sum = numbers(rows.first()?)?;
    for row in rows.iter().skip(1) {
        let row = numbers(row).filter(|row| row.len() == sum.len())?;
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    #[expect(clippy::cast_precision_loss, reason = "a text has far fewer tokens than a float can count")]
    let count = rows.len() as f64;
    Some(sum.into_iter().map(|x| x / count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_any_nesting_become_unit_vectors() {
        for body in [
            "[3,4]",
            "[[3,4]]",
            "[[[3,4]]]",
            r#"{"embeddings":[[3,4]]}"#,
            r#"{"embedding":[3,4]}"#,
            "[[[2,4],[4,4]]]",
            r#"{"object":"list","data":[{"embedding":[3,4],"index":0}]}"#,
        ] {
            let vector = read(body.as_bytes(), 2).unwrap();
            assert!((vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6, "{body}: {vector:?}");
        }
    }

    #[test]
    fn a_vector_of_another_length_or_of_nothing_is_refused() {
        assert_eq!(read(b"[1,2,3]", 2), Err(BadVector::Dimensions { found: 3, wanted: 2 }));
        for body in [
            "[0,0]",
            "[]",
            "[[]]",
            "{}",
            r#"["a","b"]"#,
            "[[1,2],[1]]",
            "[[1,2],3]",
            "null",
            "7",
            "[1e-300,0]",
            "[1e300,1e300]",
        ] {
            assert_eq!(read(body.as_bytes(), 2), Err(BadVector::None), "{body}");
        }
        let error = r#"{"error":"too many requests","code":429}"#;
        assert!(matches!(read(error.as_bytes(), 2), Err(BadVector::Answer(BadAnswer::InBand { code: Some(429), .. }))));
    }
}
