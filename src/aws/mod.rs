//! The AWS services: state and audit in DynamoDB, the inbox in SQS, secrets, and SageMaker endpoints.

pub mod client;
pub mod dynamodb;
pub mod error;
pub mod sagemaker;
pub mod secrets;
pub mod sqs;
pub mod vault;

/// What is wrong with a table or a queue, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    pub problem: String,
    pub remedy: String,
}
