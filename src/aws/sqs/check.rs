//! What `doctor` finds wrong with the queues.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;

use super::trouble::Asked;
use super::{SqsInbox, repeating};
use crate::aws::Defect;
use crate::ports::{Depth, PortResult};

/// AWS asks for this many times the time of the function that works on a queue, or messages are taken twice.
const VISIBILITY: u32 = 6;
/// Fewer tries than this and a moment of trouble puts messages aside.
const RECEIVES: u64 = 5;
/// The longest that SQS keeps a message.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Largest task that we enqueue, bytes, with room to spare.
const TASK_BYTES: u64 = 64 * 1024;

/// What was read of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub ready: u64,
    pub hidden: u64,
    /// `None` where the service does not say it, as some that stand in for SQS do not.
    visibility: Option<u64>,
    retention: Option<u64>,
    largest: Option<u64>,
    arn: String,
    /// Where messages go that were taken too often, and how often that is.
    redrive: Option<(String, u64)>,
}

/// How the queues are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueHealth {
    /// As far as SQS knows.
    pub depth: Depth,
    pub defects: Vec<Defect>,
}

impl SqsInbox {
    /// Looks at both queues. `function` is how long the function may run that works on the queue, where there is one.
    ///
    /// # Errors
    /// `Missing` when one of them is not there, `Denied` without `sqs:GetQueueAttributes`.
    pub async fn check(&self, function: Option<Duration>) -> PortResult<QueueHealth> {
        let (queue, dead) = self.attributes().await?;
        let mut defects = Vec::new();
        for url in [&self.options.queue, &self.options.dead_letters] {
            if url.ends_with(".fifo") {
                let remedy = "create a standard queue (terraform apply) and configure its address".to_owned();
                defects.push(Defect { problem: format!("{url} is a FIFO queue"), remedy });
            }
        }
        defects.extend(wrong(&self.options.queue, &queue, &dead, function));
        if let Some(kept) = dead.retention.filter(|kept| *kept < RETENTION.as_secs()) {
            let problem = format!("dead letters are kept for {} hours only", kept / 3600);
            let url = &self.options.dead_letters;
            let remedy = format!("set MessageRetentionPeriod of {url} to {} (14 days)", RETENTION.as_secs());
            defects.push(Defect { problem, remedy });
        }
        let depth = Depth { ready: queue.ready, hidden: queue.hidden, buried: dead.ready + dead.hidden };
        Ok(QueueHealth { depth, defects })
    }

    /// Of the queue and of its dead letters.
    pub(super) async fn attributes(&self) -> PortResult<(Attributes, Attributes)> {
        tokio::try_join!(self.read(&self.options.queue), self.read(&self.options.dead_letters))
    }

    async fn read(&self, queue: &str) -> PortResult<Attributes> {
        let asked = Asked { queue, action: "sqs:GetQueueAttributes", attempted: "look at a queue" };
        let request = self.client().await?.get_queue_attributes().queue_url(queue);
        let request = request.attribute_names(QueueAttributeName::All);
        let answer = request.customize().config_override(repeating()).send().await.map_err(|e| asked.failed(&e))?;
        Ok(parsed(&answer.attributes.unwrap_or_default()))
    }
}

fn parsed(all: &HashMap<QueueAttributeName, String>) -> Attributes {
    let text = |name: QueueAttributeName| all.get(&name).map(String::as_str).unwrap_or_default();
    let told = |name| text(name).parse().ok();
    let number = |name| told(name).unwrap_or(0);
    Attributes {
        ready: number(QueueAttributeName::ApproximateNumberOfMessages),
        hidden: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            + number(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        visibility: told(QueueAttributeName::VisibilityTimeout),
        retention: told(QueueAttributeName::MessageRetentionPeriod),
        largest: told(QueueAttributeName::MaximumMessageSize),
        arn: text(QueueAttributeName::QueueArn).to_owned(),
        redrive: redrive(text(QueueAttributeName::RedrivePolicy)),
    }
}

/// The target and the count of a redrive policy; the count may be a number or a text.
fn redrive(policy: &str) -> Option<(String, u64)> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let target = policy.get("deadLetterTargetArn")?.as_str()?.to_owned();
    let count = policy.get("maxReceiveCount")?;
    Some((target, count.as_u64().or_else(|| count.as_str()?.parse().ok())?))
}

fn wrong(url: &str, queue: &Attributes, dead: &Attributes, function: Option<Duration>) -> Vec<Defect> {
    let mut defects = Vec::new();
    let mut add = |problem: String, remedy: String| defects.push(Defect { problem, remedy });
    let policy =
        format!("set RedrivePolicy of {url} to the dead-letter queue {} and maxReceiveCount {RECEIVES}", dead.arn);
    match &queue.redrive {
        None => {
            add("messages that nobody can work on come back until they are dropped: no redrive policy".into(), policy)
        }
        Some((target, _)) if *target != dead.arn => {
            add(format!("messages that are taken too often go to {target}, not to the configured queue"), policy);
        }
        Some((_, count)) if *count < RECEIVES => {
            add(format!("messages are put aside after {count} attempts, in a moment of trouble too"), policy);
        }
        Some(_) => {}
    }
    let wanted = function.map(|time| (time * VISIBILITY).as_secs());
    if let Some((hidden, wanted)) = queue.visibility.zip(wanted).filter(|(hidden, wanted)| hidden < wanted) {
        let problem = format!("messages are hidden for {hidden} s, less than {VISIBILITY} times the function's time");
        add(problem, format!("set VisibilityTimeout of {url} to at least {wanted}"));
    }
    if let Some(largest) = queue.largest.filter(|largest| *largest < TASK_BYTES) {
        let problem = format!("messages may have {largest} bytes, and a task may need {TASK_BYTES}");
        add(problem, format!("set MaximumMessageSize of {url} to {}", super::MESSAGE_BYTES));
    }
    defects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_counts_in_numbers_or_texts() {
        let target = "arn:aws:sqs:eu-central-1:1:dead";
        for count in ["5", "\"5\""] {
            let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":{count}}}"#);
            assert_eq!(redrive(&policy), Some((target.to_owned(), 5)));
        }
        assert_eq!(redrive(""), None);
        assert_eq!(redrive("{}"), None);
    }

    #[test]
    fn a_queue_as_it_should_be_has_no_defects() {
        let dead = Attributes { arn: "dead".into(), ..Attributes::default() };
        let minute = Some(Duration::from_secs(60));
        let good = Attributes {
            visibility: Some(360),
            largest: Some(1 << 20),
            redrive: Some(("dead".into(), 5)),
            ..Attributes::default()
        };
        assert_eq!(wrong("q", &good, &dead, minute), []);
        let silent = Attributes { visibility: None, largest: None, ..good.clone() };
        assert_eq!(wrong("q", &silent, &dead, minute), [], "what is not told is no defect");
        let small = Attributes { largest: Some(1024), ..good.clone() };
        assert!(wrong("q", &small, &dead, minute)[0].problem.contains("1024 bytes"));
        let short = Attributes { visibility: Some(359), ..good.clone() };
        assert!(wrong("q", &short, &dead, minute)[0].remedy.contains("at least 360"));
        assert_eq!(wrong("q", &short, &dead, None), []);
    }
}
