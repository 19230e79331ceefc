//! The program: parse, run, tell the error, exit with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hubctl::cli::main(std::env::args_os()))
}
