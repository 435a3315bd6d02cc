//! Past fixes in OpenSearch: exact look-ups by id, nearest neighbours by vector.
//!
//! One index holds all fixes, one document each. A search index trails behind what was stored, by seconds and at times by
//! many: so a search only names candidates, and what they say is read by id, which always gives the newest. What this process
//! stored lately is a candidate too, whether the search knows it already or not.

mod check;
mod connection;
mod document;
mod error;
mod memory;
mod query;
mod recent;
mod schema;
mod signing;
mod write;

pub use check::{IndexCheck, MemoryCheck};
pub use connection::{Auth, AwsIdentity, IdentitySource};
pub use memory::{OpenSearchMemory, OpenSearchOptions};
