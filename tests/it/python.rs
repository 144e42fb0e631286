//! Python, for the tests that read an archive through the libraries others use.

use std::path::PathBuf;
use std::process::Command;

/// Names the Python that `.ci/run` prepares with everything in `tests/python/requirements.txt`.
const VARIABLE: &str = "TEST_PYTHON";

/// What no prepared Python has to have: Spark needs Java, and half a minute to start.
const BY_HAND: [&str; 1] = ["pyspark"];

/// The Python to use: a path, or a name to be looked up.
pub(crate) fn interpreter() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(|| "python3".into(), PathBuf::from)
}

/// A Python that has `modules`; nothing, and a word, where one is missing. In a Python that was
/// prepared for the tests none may be: a test that is skipped there would prove nothing.
#[allow(clippy::print_stderr)]
pub(crate) fn python_with(modules: &[&str]) -> Option<Command> {
    let python = interpreter();
    for module in modules {
        let probe = Command::new(&python).args(["-c", &format!("import {module}")]).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            let is_prepared = std::env::var_os(VARIABLE).is_some();
            assert!(!is_prepared || BY_HAND.contains(module), "{VARIABLE} lacks {module}");
            eprintln!("skipped: {} with {module} is not installed", python.display());
            return None;
        }
    }
    Some(Command::new(python))
}
