//! The way that another scanner followed from the source to its result: `codeFlows` of SARIF.

use serde::Deserialize;

use super::File;
use super::format::{CodeFlow, Run, SarifResult, ThreadFlow};
use super::region::{self, Units};
use super::uri;
use crate::detect::evidence;
use crate::model::{FlowRole, FlowStep, RepoPath};

/// Steps that are kept; of longer ways those in the middle are left out.
const MAX_STEPS: usize = 16;
/// Locations of one way that are read.
const MAX_READ: usize = 500;

/// Where a result is, and how its report tells places.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub path: &'a RepoPath,
    pub file: &'a File,
    pub units: Units,
    pub root: Option<&'a str>,
}

/// The steps of the shortest way of a result, those in the result's own file; none when there are fewer than two of them.
///
/// A way may begin in another file: then the first step that is kept is no source.
pub(super) fn steps(run: &Run, result: &SarifResult, at: &At<'_>) -> Vec<FlowStep> {
    // What is written otherwise costs the way, not the result.
    let flows: Vec<CodeFlow> = Deserialize::deserialize(&result.code_flows).unwrap_or_default();
    let ways = flows.iter().flat_map(|flow| &flow.thread_flows);
    let Some(way) = ways.filter(|way| way.locations.len() > 1).min_by_key(|way| way.locations.len()) else {
        return Vec::new();
    };
    let mut steps = followed(run, way, at);
    steps.dedup_by(|next, step| {
        let again = next.span == step.span;
        if again && next.role == FlowRole::Sink {
            step.role = FlowRole::Sink;
        }
        again
    });
    while steps.len() > MAX_STEPS {
        steps.remove(MAX_STEPS / 2);
    }
    if steps.len() > 1 { steps } else { Vec::new() }
}

fn followed(run: &Run, way: &ThreadFlow, at: &At<'_>) -> Vec<FlowStep> {
    let At { path, file, units, root } = *at;
    let lines = file.line_starts.index(&file.text);
    let last = way.locations.len() - 1;
    let mut steps = Vec::new();
    for (number, step) in way.locations.iter().enumerate().take(MAX_READ) {
        let Some(place) = step.location.as_ref().and_then(|location| location.physical_location.as_ref()) else {
            continue;
        };
        // Steps may leave out the file when it is the result's own.
        let named = place.artifact_location.as_ref();
        if named.is_some_and(|named| uri::path(run, Some(named), root).ok().as_ref() != Some(path)) {
            continue;
        }
        let Ok(span) = region::span(place.region.as_ref(), &file.text, &lines, units) else { continue };
        let role = match number {
            0 => FlowRole::Source,
            _ if number == last => FlowRole::Sink,
            _ => FlowRole::Step,
        };
        let code = evidence::shown(file.text.get(span.range()).unwrap_or_default());
        steps.push(FlowStep { role, span, start: lines.position(span.start), end: lines.position(span.end), code });
    }
    steps
}
