//! The `codehealer` command; in AWS Lambda, the function.

use codehealer::config::Environment;
use codehealer::entry::{cli, lambda};

fn main() -> std::process::ExitCode {
    // The first one wins: libraries that bring more than one way to do TLS must not choose for us.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let environment = Environment::read();
    match &environment.lambda_api {
        Some(api) => lambda::main(&environment, api),
        None => cli::main(std::env::args_os()),
    }
}
