//! The AWS services: state and audit in DynamoDB, the inbox in SQS, secrets, and SageMaker endpoints.
