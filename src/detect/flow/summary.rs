//! What a call of a function of the same file does with its arguments.

use std::rc::Rc;

use super::spec::Mask;
use super::value::{Trail, Value};
use crate::model::Span;

/// What a function gives back and where its parameters go.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    /// Number of the function; the parameters in `returns` are those of this owner.
    pub id: usize,
    pub parameters: Vec<Rc<str>>,
    pub returns: Value,
    pub sinks: Vec<ParameterSink>,
}

/// A parameter reaches a place where it must not go.
#[derive(Debug, Clone)]
pub(super) struct ParameterSink {
    pub rule: usize,
    pub place: Span,
    /// The number of what the sink asks of a value.
    pub demand: usize,
    pub parameter: usize,
    pub clean: Mask,
    pub built: bool,
    pub shapes: Mask,
    pub trail: Trail,
}
