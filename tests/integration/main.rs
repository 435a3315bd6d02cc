//! All integration tests in one binary: one link, one place to look.
// GitHub answers with large objects, each one macro.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod aws;
mod calibrate;
mod cli;
mod contract;
mod curated_fixes;
mod demo;
mod deployment;
mod fuzz;
mod github;
mod hostile_repository;
mod lambda;
mod learning;
mod local_git;
mod local_store;
mod memory_cli;
mod model;
mod opensearch;
mod push;
mod replay;
mod rules;
mod rules_docs;
mod rules_languages;
mod sarif;
mod schedules;
mod setup;
mod slack;
mod story;
mod support;
mod verify_command;
