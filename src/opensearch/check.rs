//! What `doctor` wants to know of the memory.

use opensearch::http::Method;
use serde::Deserialize;

use super::connection::Request;
use super::memory::OpenSearchMemory;
use super::schema;
use crate::ports::PortResult;

/// A cluster that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryCheck {
    /// Such as `2.19.1`; `None` where it is not told (a serverless collection).
    pub version: Option<String>,
    /// `None` while no fix was stored.
    pub index: Option<IndexCheck>,
}

/// An index that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexCheck {
    /// Length of its vectors.
    pub dimensions: usize,
    /// Such as `lucene`.
    pub engine: String,
    /// Such as `cosinesimil`.
    pub space: String,
    /// Documents in it that a search knows.
    pub fixes: u64,
}

#[derive(Deserialize)]
struct Greeting {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

impl OpenSearchMemory {
    /// Asks the cluster who it is and what the index is like; changes nothing.
    ///
    /// # Errors
    /// When it cannot be asked, or the index will not do; with the remedy.
    pub async fn check(&self) -> PortResult<MemoryCheck> {
        const ATTEMPTED: &str = "check the memory";
        let path = String::new();
        let request = Request { attempted: ATTEMPTED, method: Method::Get, path, query: Vec::new(), body: None };
        let answer = self.connection.call(&request).await?;
        let version = match answer.status {
            404 => None,
            _ => Some(answer.json::<Greeting>(ATTEMPTED)?.version.number),
        };
        let Some(shape) = schema::inspect(&self.connection, &self.index, self.dimensions).await? else {
            return Ok(MemoryCheck { version, index: None });
        };
        let answer = self.ask(ATTEMPTED, (Method::Get, "_count".to_owned()), Vec::new(), None).await?;
        let fixes = answer.json::<Count>(ATTEMPTED)?.count;
        let schema::Shape { dimensions, engine, space } = shape;
        Ok(MemoryCheck { version, index: Some(IndexCheck { dimensions, engine, space, fixes }) })
    }
}
