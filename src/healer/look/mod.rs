//! A model as a detector, off unless configured: it is asked about changed functions, a bounded number a push. A claim becomes a
//! finding only when a second question, made from the code alone, confirms it.
//!
//! What was said of a function is kept, so that the same code is not asked about again. It goes into the trail of the push in the same
//! transaction, with what it cost.

pub(super) mod again;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::consult::Answer;
use super::consult::model::call::{Call, Endpoint};
use super::scan::{ScanReport, ScanRequest};
use super::spend::Spender;
use super::{HealError, Healer, trail};
use crate::detect::ChangedLines;
use crate::detect::redact::redact;
use crate::model::{Completion, Finding, IssueType, Language, ModelCall, RepoPath, RepositoryId, Sampling, UnixMillis};
use crate::ports::{ErrorKind, PortError};
use crate::recall::look::{self, Claim, Function, Kind, Seen};
use crate::recall::prompt::Asked;
use crate::state::chain::PushEventKind;
use crate::state::run::fields;
use crate::state::{Item, Write, keys};

/// What is said of a function is kept this long, seconds: 90 days.
const KEPT: u64 = 90 * 24 * 60 * 60;
/// Name of this source among what was passed over.
const NAME: &str = "model as a detector";

/// A function that a push changed.
pub(super) struct ChangedFunction {
    pub path: RepoPath,
    /// The whole file.
    pub text: Arc<str>,
    pub function: Function,
    /// Kinds of problems that our rules see in it, whether they are new or not: nobody needs to claim them.
    pub known: Vec<IssueType>,
}

/// A claim that was confirmed, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    kind: String,
    line: usize,
    said: String,
}

/// What came of looking at one function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Looked {
    at: UnixMillis,
    claims: Vec<Kept>,
}

impl Looked {
    /// A kind that is asked for no more is none.
    fn claims(&self) -> impl Iterator<Item = Claim> + '_ {
        let claim =
            |kept: &Kept| Some(Claim { kind: look::named(&kept.kind)?, line: kept.line, said: kept.said.clone() });
        self.claims.iter().filter_map(claim)
    }
}

impl Healer {
    /// Asks the model about functions that a push changed, and adds what it claims twice over to the report. What cannot be asked
    /// is told there; a push never waits for it.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(super) async fn look(
        &self,
        request: &ScanRequest,
        changed: &[ChangedFunction],
        report: &mut ScanReport,
    ) -> Result<(), HealError> {
        let Some(most) = self.functions_looked_at() else { return Ok(()) };
        for (number, one) in changed.iter().enumerate() {
            let stopped = if number >= most {
                Some(format!("at most {most} are looked at"))
            } else if self.has_no_time_for_more() {
                Some("the time is over".to_owned())
            } else {
                self.look_at_one(request, one, report).await?.err().map(|error| redact(&error.chain()).into_owned())
            };
            if let Some(why) = stopped {
                let left = changed.len() - number;
                report.skipped.push((NAME.to_owned(), format!("{left} changed function(s) were not looked at: {why}")));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Changed functions of a push that are looked at; none when a model is no detector here.
    pub(super) fn functions_looked_at(&self) -> Option<usize> {
        self.policy.model.functions_a_push.filter(|_| self.ports.model.is_some())
    }

    /// The inner error says why nobody could be asked.
    async fn look_at_one(
        &self,
        request: &ScanRequest,
        one: &ChangedFunction,
        report: &mut ScanReport,
    ) -> Result<Result<(), PortError>, HealError> {
        let looked = match self.looked(request, one, report).await? {
            Ok(looked) => looked,
            Err(error) => return Ok(Err(error)),
        };
        for claim in looked.claims() {
            let found = look::finding(&request.repository.id, &one.path, &one.text, &one.function, &claim);
            let Some(finding) = found.filter(|finding| self.is_news(request, one, finding)) else { continue };
            match look::ignored(&one.text, &one.function, &finding) {
                Some(reason) => report.ignored.push((finding, reason)),
                None => report.findings.push(finding),
            }
        }
        Ok(Ok(()))
    }

    /// Whether nobody else reports it: neither our rules nor another scanner.
    fn is_news(&self, request: &ScanRequest, one: &ChangedFunction, finding: &Finding) -> bool {
        let kind = &finding.rule.issue_type;
        let reported = |other: &Finding| {
            other.path == one.path && other.rule.issue_type == *kind && other.span.overlaps(one.function.span)
        };
        let off = self.policy.ignore_rules.contains(finding.rule.id.as_str());
        !off && !one.known.contains(kind) && !request.external.iter().any(reported)
    }

    /// What was said of a function: as it is on record, else asked now and put on record.
    async fn looked(
        &self,
        request: &ScanRequest,
        one: &ChangedFunction,
        report: &mut ScanReport,
    ) -> Result<Result<Looked, PortError>, HealError> {
        let question = look::question(&one.path, &one.text, &one.function);
        let identity = look::identity(&question);
        let key = keys::looked(&request.repository.id, &identity);
        if let Some(known) = trail::load::<Looked>(&*self.ports.state, &key).await? {
            return Ok(Ok(known));
        }
        let spender = self.spender_of_push(request, &identity);
        let mut answer = Answer::default();
        let asked = self.ask_about_function(&spender, (one, &question), &mut answer).await;
        for call in &answer.calls {
            report.input_tokens += call.input_tokens;
            report.output_tokens += call.output_tokens;
        }
        let at = self.ports.clock.now();
        let looked = Looked { at, claims: asked.as_ref().cloned().unwrap_or_default() };
        // What failed is asked again with the next push that changes the function; what it cost is on record all the same.
        let further = match &asked {
            Ok(_) => vec![Write::Put { item: kept(key, &looked), when: Vec::new() }],
            Err(error) => {
                answer.answers.push(error.chain());
                Vec::new()
            }
        };
        if asked.is_ok() || !answer.calls.is_empty() {
            let push = (&request.repository.id, request.reference.as_str(), &request.head);
            self.record_push(push, looked_event(one, &looked, answer), further).await?;
        }
        Ok(asked.map(|_| looked))
    }

    async fn ask_about_function(
        &self,
        spender: &Spender,
        (one, asked): (&ChangedFunction, &Asked),
        answer: &mut Answer,
    ) -> Result<Vec<Kept>, PortError> {
        let call = Call { purpose: "look", asked, sampling: Sampling::ONE };
        let said = self.one_answer(spender, Endpoint::First, &call, answer).await?;
        let (claims, unclear) = look::read(&said, &one.function);
        answer.answers.extend(unclear.iter().map(|why| format!("not used: {why}")));
        let mut confirmed = Vec::new();
        for claim in claims {
            let place = (&one.path, &*one.text, &one.function);
            let line = match self.seen(spender, claim.kind, place, (Sampling::ONE, &mut *answer)).await? {
                Ok(Seen::Present(line)) => Ok(line),
                Ok(Seen::Absent) => Err("not seen in the code alone".to_owned()),
                Err(why) => Err(format!("not confirmed: {why}")),
            };
            let id = claim.kind.id;
            let told = match &line {
                Ok(line) => format!("{id}: claimed, and confirmed in its line {}", line + 1),
                Err(why) => format!("{id}: claimed, and {why}"),
            };
            answer.answers.push(told);
            confirmed.extend(line.ok().map(|line| Kept { kind: id.to_owned(), line, said: claim.said }));
        }
        Ok(confirmed)
    }

    /// Looks at the code alone for one kind of problem. The larger model looks where there is one.
    async fn seen(
        &self,
        spender: &Spender,
        kind: &Kind,
        (path, text, function): (&RepoPath, &str, &Function),
        (sampling, answer): (Sampling, &mut Answer),
    ) -> Result<Result<Seen, look::Unclear>, PortError> {
        let asked = look::second_question(kind, path, text, function);
        let endpoint = self.largest();
        let call = Call { purpose: "second look", asked: &asked, sampling };
        let said = self.one_answer(spender, endpoint, &call, answer).await?;
        Ok(look::read_verdict(&said, function))
    }

    /// One answer; when nothing may be spent any more, an error that says so.
    async fn one_answer(
        &self,
        spender: &Spender,
        endpoint: Endpoint,
        call: &Call<'_>,
        answer: &mut Answer,
    ) -> Result<Completion, PortError> {
        let drawn = self.call(spender, endpoint, call, answer).await?;
        drawn.into_iter().next().ok_or_else(|| {
            let why = answer.answers.last().cloned().unwrap_or_default();
            PortError::new("model", format!("ask for a {}: {why}", call.purpose), ErrorKind::Denied)
        })
    }

    /// Claims on record about functions of a file as it is now; those of functions that were changed since are not among them.
    pub(super) async fn claimed_before(
        &self,
        repository: &RepositoryId,
        (path, bytes): (&RepoPath, &[u8]),
        wanted: impl Fn(&Finding) -> bool,
    ) -> Result<Vec<Finding>, HealError> {
        let (Ok(text), Some(language)) = (std::str::from_utf8(bytes), Language::of(path)) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for function in look::functions(language, text, None) {
            let asked = look::question(path, text, &function);
            let key = keys::looked(repository, &look::identity(&asked));
            let Some(looked) = trail::load::<Looked>(&*self.ports.state, &key).await? else { continue };
            let findings = looked.claims().filter_map(|claim| look::finding(repository, path, text, &function, &claim));
            found.extend(findings.filter(|finding| wanted(finding)));
        }
        Ok(found)
    }
}

fn kept(key: crate::state::Key, looked: &Looked) -> Item {
    Item { key, fields: fields(looked), indexes: Vec::new(), expires: Some(looked.at / 1000 + KEPT) }
}

fn looked_event(one: &ChangedFunction, looked: &Looked, answer: Answer) -> PushEventKind {
    let calls: Vec<ModelCall> = answer.calls;
    PushEventKind::Looked {
        path: one.path.to_string(),
        function: redact(&one.function.name).into_owned(),
        claims: looked.claims.iter().map(|kept| kept.kind.clone()).collect(),
        said: answer.answers.iter().map(|line| redact(line).into_owned()).collect(),
        calls,
    }
}

/// The functions of a file that may be asked about. Tests are not: what looks wrong there is often the point.
pub(super) fn changed_functions(
    path: &RepoPath,
    text: &str,
    lines: Option<&ChangedLines>,
    ours: &[&Finding],
) -> Vec<ChangedFunction> {
    let Some(language) = Language::of(path).filter(|_| !path.is_test_code()) else { return Vec::new() };
    let text: Arc<str> = Arc::from(text);
    let one = |function: Function| {
        let inside = ours.iter().filter(|finding| finding.span.overlaps(function.span));
        let known = inside.map(|finding| finding.rule.issue_type.clone()).collect();
        ChangedFunction { path: path.clone(), text: Arc::clone(&text), function, known }
    };
    look::functions(language, &text, lines).into_iter().map(one).collect()
}
