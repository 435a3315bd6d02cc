//! The `codehealer` command.

fn main() {}
