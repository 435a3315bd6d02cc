//! The AWS services: state and audit in DynamoDB, the inbox in SQS, secrets, and SageMaker endpoints.

pub mod client;
pub mod dynamodb;
pub mod error;
pub mod sqs;
