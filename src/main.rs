//! `titan-download`: runs the command line and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    titan_download::cli::run(std::env::args_os()).into()
}
