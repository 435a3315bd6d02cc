//! The model stage: servers of every profile with their troubles, several answers, revision, what is spent, and the check of the
//! command line.

mod budgets;
mod check;
mod contract;
mod detector;
mod record;
mod servers;
mod stage;
