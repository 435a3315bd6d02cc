//! The `codehealer` command.

fn main() -> std::process::ExitCode {
    codehealer::entry::cli::main(std::env::args_os())
}
