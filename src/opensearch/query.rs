//! What is asked: which fixes compare with the wanted one, and how that is said to OpenSearch.

use serde_json::{Value, json};

use super::document::{no_vector, searched};
use super::error::failed;
use crate::model::PastFix;
use crate::ports::{ErrorKind, FixQuery, PortResult};

/// Candidates that a search names at least: with few, the graph is left too early and near ones are missed.
const FEWEST: usize = 80;
/// Candidates that a search names at most.
const MOST: usize = 1_000;

/// A look-up, checked.
pub(super) struct Wanted<'a> {
    pub query: &'a FixQuery,
    exact: Vec<f64>,
    length: f64,
}

impl<'a> Wanted<'a> {
    /// # Errors
    /// `Malformed` when the vector is none, or cannot be compared with those of an index of so many dimensions.
    pub fn new(attempted: &str, query: &'a FixQuery, dimensions: usize) -> PortResult<Self> {
        if query.vector.is_empty() || !query.vector.iter().all(|x| x.is_finite()) {
            return Err(no_vector(attempted));
        }
        if query.vector.len() != dimensions {
            let said = format!("the vector has {} dimensions, those of the index {dimensions}", query.vector.len());
            let remedy = "give another embedder an index of its own: set opensearch.index";
            return Err(failed(attempted, ErrorKind::Malformed, said, remedy));
        }
        let exact: Vec<f64> = query.vector.iter().map(|x| f64::from(*x)).collect();
        let length = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
        Ok(Self { query, exact, length })
    }

    /// The cosine with a fix, -1 to 1, 0 where a vector has no direction; `None` when the two do not compare or the fix must
    /// not be seen.
    pub fn cosine(&self, fix: &PastFix) -> Option<f64> {
        let query = self.query;
        let seen = query.private || !fix.private || fix.repository == query.repository;
        let same = fix.organisation == query.organisation
            && fix.language == query.language
            && fix.embedder == query.embedder
            && fix.vector.len() == self.exact.len()
            && (fix.rule == query.rule || fix.aliases.contains(&query.rule));
        if !seen || !same || fix.superseded_by.is_some() {
            return None;
        }
        let (mut dot, mut square) = (0.0, 0.0);
        for (x, y) in self.exact.iter().zip(&fix.vector) {
            let y = f64::from(*y);
            dot += x * y;
            square += y * y;
        }
        let lengths = self.length * square.sqrt();
        Some(if lengths > 0.0 { (dot / lengths).clamp(-1.0, 1.0) } else { 0.0 })
    }

    /// The search that names candidates, most similar first.
    pub fn search(&self) -> Value {
        let count = self.query.limit.saturating_mul(2).clamp(FEWEST, MOST);
        let filter = self.filter();
        let directionless = [filter.clone(), vec![json!({"term": {"directionless": true}})]].concat();
        // A vector without direction is as far as a right angle, whose score this is. No angle finds it.
        let without = json!({"constant_score": {"boost": 0.5, "filter": {"bool": {"filter": directionless}}}});
        let query = match searched(&self.query.vector) {
            Some(vector) => {
                let near = json!({"vector": vector, "k": count, "filter": {"bool": {"filter": filter}}});
                json!({"bool": {"should": [{"knn": {"vector": near}}, without]}})
            }
            // To nothing is everything equally near.
            None => json!({"bool": {"filter": filter}}),
        };
        json!({"size": count, "_source": false, "track_total_hits": false, "query": query})
    }

    fn filter(&self) -> Vec<Value> {
        let query = self.query;
        let mut filter = vec![
            json!({"term": {"organisation": query.organisation}}),
            json!({"term": {"language": query.language.to_string()}}),
            json!({"term": {"embedder": query.embedder}}),
            json!({"term": {"rules": query.rule.as_str()}}),
            json!({"term": {"superseded": false}}),
        ];
        if !query.private {
            let own = json!({"term": {"repository": query.repository}});
            filter.push(json!({"bool": {"should": [{"term": {"private": false}}, own], "minimum_should_match": 1}}));
        }
        filter
    }
}
