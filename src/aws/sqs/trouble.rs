//! What an answer of SQS means, and what an operator does about it.

use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::{MESSAGE_BYTES, PORT};
use crate::aws::error::{explained, kind, port_error, words};
use crate::ports::{ErrorKind, PortError};

/// How long to stay away from a queue that takes nothing more.
const FULL: Duration = Duration::from_secs(30);

/// What was asked of which queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// URL of the queue.
    pub queue: &'a str,
    /// Name of the permission, such as `sqs:SendMessage`.
    pub action: &'static str,
    /// Completes "could not …".
    pub attempted: &'a str,
}

impl Asked<'_> {
    /// The error with its remedy.
    pub fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> PortError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match self.remedy(error) {
            Some(meaning) => explained(PORT, self.attempted, error, meaning),
            None => port_error(PORT, self.attempted, error),
        }
    }

    fn remedy<E>(&self, error: &SdkError<E, HttpResponse>) -> Option<(ErrorKind, String)>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Self { queue, action, .. } = self;
        let (code, said) = words(error);
        let said = said.to_lowercase();
        let kind = kind(error);
        Some(match code {
            "OverLimit" => {
                let remedy = format!(
                    "more messages of {queue} are being worked on than SQS keeps (120,000): see why workers do not finish \
                     them, or let more of them work"
                );
                (ErrorKind::Throttled(FULL), remedy)
            }
            "KmsDisabled" | "KmsInvalidState" | "KmsNotFound" | "KmsOptInRequired" | "KmsInvalidKeyUsage" => {
                let remedy =
                    format!("the key that encrypts {queue} cannot be used: enable it, or give the queue another");
                (ErrorKind::Denied, remedy)
            }
            "KmsAccessDenied" => {
                let remedy = format!("allow the role kms:Decrypt and kms:GenerateDataKey with the key of {queue}");
                (ErrorKind::Denied, remedy)
            }
            // The second is how ElasticMQ says it.
            "InvalidParameterValue" | "InvalidParameterValueException" | "InvalidAttributeValue"
                if said.contains("must be shorter") || said.contains("messagetoolong") =>
            {
                let remedy = format!("set MaximumMessageSize of {queue} to {MESSAGE_BYTES} bytes");
                (ErrorKind::Malformed, remedy)
            }
            "InvalidMessageContents" => (
                ErrorKind::Malformed,
                "the message has characters that SQS does not carry: store it and send its key".into(),
            ),
            _ if kind == ErrorKind::Missing => {
                let remedy = format!(
                    "there is no queue {queue} in this region: create it (terraform apply), or mend aws.queue and \
                     aws.dead_letter_queue in the configuration"
                );
                (kind, remedy)
            }
            "AccessDenied" | "AccessDeniedException" => {
                (kind, format!("allow the role {action} on {queue}; see also the policy of the queue itself"))
            }
            _ => return None,
        })
    }
}

/// Whether a receipt has run out: the message is another's now, or gone.
pub(super) fn has_run_out<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    match words(error) {
        ("MessageNotInflight" | "ReceiptHandleIsInvalid", _) => true,
        ("InvalidParameterValue" | "InvalidParameterValueException", text) => {
            text.contains("ReceiptHandle") || text.contains("receipt handle")
        }
        _ => false,
    }
}
