//! Statements: which ways the program can take, and what holds where they meet again.

use super::engine::Engine;
use super::ir::{Case, Expr, Kind, Loop, Stmt, Try};
use super::spec::Mask;
use super::state::State;
use super::value::Value;

/// Times that a loop is taken, as long as that tells something new.
const MAX_ROUNDS: usize = 3;
/// Loops inside of each other that are taken so often; those further inside are taken once or twice.
const MAX_LOOPS: usize = 2;

impl Engine<'_, '_> {
    pub(super) fn exec(&mut self, statement: &Stmt, state: &mut State) {
        match statement {
            Stmt::Expr(expr) => {
                self.eval(expr, state);
                if let Kind::Call(call) = &expr.kind {
                    self.assume_passed(call, state);
                }
            }
            Stmt::If(condition, then, otherwise) => self.branch(condition, then, otherwise, state),
            Stmt::Loop(one) => self.repeat(one, state),
            Stmt::Switch(subject, cases) => self.switch(subject, cases, state),
            Stmt::Try(one) => self.attempt(one, state),
            Stmt::Return(value, span) => {
                let value = value.as_ref().map(|value| self.eval(value, state)).unwrap_or_default();
                self.returned(&value, *span);
                if let Some(frame) = self.frames.last_mut() {
                    match &mut frame.returns {
                        Some(returns) => {
                            returns.join(&value);
                        }
                        None => frame.returns = Some(value),
                    }
                }
                state.live = false;
            }
            Stmt::Exit => state.live = false,
            Stmt::Break | Stmt::Continue => {
                if let Some(frame) = self.frames.last_mut().filter(|frame| frame.breaks.len() < 64) {
                    frame.breaks.push(state.clone());
                }
                state.live = false;
            }
            Stmt::Function(function) => {
                let summary = self.closure(function, state);
                state.set(&function.name, Value { function: Some(summary), ..Value::unknown(function.span) });
            }
            Stmt::Import(names) => {
                for (local, path) in names {
                    state.set(local, Value::named(path, crate::model::Span::new(0, 0)));
                }
            }
        }
    }

    fn branch(&mut self, condition: &Expr, then: &[Stmt], otherwise: &[Stmt], state: &mut State) {
        let decided = self.eval(condition, state).text.as_deref().and_then(truth);
        if !self.spend(state.variables.len() / 4) {
            return;
        }
        let mut other = state.clone();
        match decided {
            Some(true) => return self.run(then, state),
            Some(false) => return self.run(otherwise, state),
            None => {}
        }
        self.assume(condition, true, state);
        self.assume(condition, false, &mut other);
        self.run(then, state);
        self.run(otherwise, &mut other);
        state.join(&other);
    }

    fn repeat(&mut self, one: &Loop, state: &mut State) {
        self.run(&one.before, state);
        let outer = self.frames.last_mut().map(|frame| {
            frame.loops += 1;
            (std::mem::take(&mut frame.breaks), frame.loops)
        });
        let (breaks, loops) = outer.unwrap_or_default();
        let source = one.bind.as_ref().map(|(_, source)| self.eval(source, state));
        for round in 0..MAX_ROUNDS {
            if !self.spend(1 + state.variables.len() / 4) {
                break;
            }
            let mut inside = state.clone();
            if let (Some((target, _)), Some(source)) = (&one.bind, &source) {
                self.bind_loop_target(target, source, &mut inside);
            }
            if let Some(condition) = &one.condition {
                self.eval(condition, &mut inside);
                self.assume(condition, true, &mut inside);
            }
            self.run(&one.body, &mut inside);
            let mut changed = state.join(&inside);
            let broken = self.frames.last_mut().map(|frame| std::mem::take(&mut frame.breaks)).unwrap_or_default();
            for broken in broken {
                changed |= state.join(&broken);
            }
            if !changed || round > 0 && loops > MAX_LOOPS {
                break;
            }
        }
        if let Some(condition) = &one.condition {
            self.assume(condition, false, state);
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.breaks = breaks;
            frame.loops -= 1;
        }
        self.run(&one.behind, state);
    }

    fn switch(&mut self, subject: &Expr, cases: &[Case], state: &mut State) {
        let known = self.eval(subject, state).text;
        let before = state.clone();
        let mut after = State { live: false, ..State::default() };
        let mut falling: Option<State> = None;
        let outer = self.frames.last_mut().map(|frame| std::mem::take(&mut frame.breaks)).unwrap_or_default();
        let mut matched = false;
        for case in cases {
            let constants: Vec<Value> = case.values.iter().map(|value| self.eval(value, &mut before.clone())).collect();
            let fits =
                |known: &str| case.values.is_empty() || constants.iter().any(|c| c.text.as_deref() == Some(known));
            let decided = known.as_deref().filter(|_| constants.iter().all(|c| c.text.is_some()));
            let skipped = decided.is_some_and(|known| matched || !fits(known));
            let mut inside = before.clone();
            if !self.spend(1 + before.variables.len() / 4) {
                return;
            }
            inside.live = !skipped;
            matched |= decided.is_some() && !skipped;
            if !case.values.is_empty() && constants.iter().all(Value::is_constant) {
                self.check(subject, Mask::MAX, &mut inside);
            }
            if let Some(fallen) = falling.take() {
                inside.join(&fallen);
            }
            self.run(&case.body, &mut inside);
            if case.falls_through && inside.live {
                falling = Some(inside);
            } else {
                after.join(&inside);
            }
        }
        if let Some(fallen) = falling {
            after.join(&fallen);
        }
        let broken =
            self.frames.last_mut().map(|frame| std::mem::replace(&mut frame.breaks, outer)).unwrap_or_default();
        for broken in broken {
            after.join(&broken);
        }
        let exhaustive = matched || cases.iter().any(|case| case.values.is_empty());
        if !exhaustive {
            after.join(&before);
        }
        *state = after;
    }

    fn attempt(&mut self, one: &Try, state: &mut State) {
        if !self.spend(state.variables.len() / 2) {
            return;
        }
        let mut failed = state.clone();
        self.run(&one.body, state);
        let live = state.live;
        // An error may come from anywhere inside.
        state.live = true;
        failed.join(state);
        state.live = live;
        self.run(&one.otherwise, state);
        for handler in &one.handlers {
            let mut handled = failed.clone();
            self.run(handler, &mut handled);
            state.join(&handled);
        }
        let live = state.live;
        if !live {
            let (mut last, loops) = (failed, one.last.len());
            if loops > 0 {
                self.run(&one.last, &mut last);
            }
            return;
        }
        self.run(&one.last, state);
    }

    /// Puts a value into a variable, a part, or several of both.
    pub(super) fn bind(&mut self, target: &Expr, value: Value, state: &mut State) {
        match &target.kind {
            Kind::Name(name) => {
                self.check_named(name, target.span, &value, state);
                self.check_name(name, target.span, &value);
                state.set(name, value);
            }
            Kind::Member(..) => self.write_member(target, value, state),
            Kind::Index(object, index) => {
                let key = self.eval(index, state).text;
                if let Some(key) = &key {
                    self.check_name(key, target.span, &value);
                }
                self.check_element(object, target.span, &value, state);
                if let Kind::Name(name) = &object.kind {
                    let mut container = self.eval(object, state);
                    container.set_part(key.as_deref(), value);
                    state.variables.insert(name.clone(), container);
                } else if let Some(place) = object.place() {
                    let mut container = self.eval(object, state);
                    container.set_part(key.as_deref(), value);
                    state.variables.insert(place.into(), container);
                }
            }
            Kind::Collection(targets) => {
                for (number, (key, target)) in targets.iter().enumerate() {
                    let key = key.as_ref().map_or_else(|| number.to_string(), ToString::to_string);
                    let part = self.read_part(&value, &key, target.span);
                    self.bind(target, part.through(target.span), state);
                }
            }
            Kind::Same(targets) => {
                for target in targets {
                    self.bind(target, value.any_part(), state);
                }
            }
            Kind::Assign(assign) => self.bind(&assign.target, value, state),
            _ => {}
        }
    }
}

/// Whether a constant holds, where that is the same in every language.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
