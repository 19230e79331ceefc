//! The program: parse, run, tell the error, exit with its code.

use std::process::ExitCode;

/// Half of what is done with a tree is to make and drop its nodes, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(hubctl::cli::main(std::env::args_os()))
}
