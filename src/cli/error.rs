//! What ends a command early: a chain of causes, a hint kept apart from it, and the exit code.

use std::error::Error;

use super::exit::ExitCode;

/// A command could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong; its causes hang beneath it.
    pub error: Box<dyn Error + Send + Sync>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// How the process ends.
    pub exit: ExitCode,
}

impl Failure {
    /// The command could not start.
    pub fn cannot_start(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hint: None, exit: ExitCode::CannotStart }
    }

    /// The command ended otherwise.
    pub fn new(exit: ExitCode, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hint: None, exit }
    }

    /// The machine allows no further thread; `n_started` of `n` could be started.
    pub fn no_thread(error: &std::io::Error, n_started: usize, n: usize) -> Self {
        Self::cannot_start(format!(
            "this machine lets the program start {n_started} of the {n} threads it needs: {error}"
        ))
        .with_hint(
            "raise the limit of processes and threads (`ulimit -u`, `TasksMax=` of systemd, \
             `--pids-limit` of Docker)",
        )
    }

    /// Says what can be done.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message and the causes beneath it, outermost first, without repetitions.
    ///
    /// Some libraries paste the cause into their own message; such a cause says nothing new and
    /// is left out.
    pub fn chain(&self) -> Vec<String> {
        chain(self.error.as_ref())
    }
}

/// The message of `error` and of the causes beneath it, outermost first, without repetitions.
pub fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let message = cause.to_string();
        let is_known = messages.iter().any(|known| known.contains(&message));
        if !is_known && !message.trim().is_empty() {
            messages.push(message);
        }
        next = cause.source();
    }
    messages
}

/// What clap says of a line it cannot read, with its advice as a `hint:` like everybody else's.
pub fn usage_text(said: &str) -> String {
    const TIP: &str = "  tip: ";
    const MORE: &str = "For more information, try '--help'.";
    if said.contains(TIP) {
        return said.replacen(TIP, "hint: ", 1);
    }
    said.replace(MORE, "hint: `--help` lists every option")
}

/// The same for programs: what is wrong, and the advice.
pub fn usage_failure(text: &str) -> Failure {
    let wrong: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let wrong = wrong.join(" ");
    let failure = Failure::cannot_start(wrong.strip_prefix("error: ").unwrap_or(&wrong));
    match text.lines().find_map(|line| line.strip_prefix("hint: ")) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_errors_are_one_message_and_one_hint() {
        let failure = usage_failure("error: these are missing:\n  <X>\n\nhint: y\n\nUsage: z\n");
        assert_eq!(failure.chain(), ["these are missing: <X>"]);
        assert_eq!(failure.hint.as_deref(), Some("y"));
        assert_eq!(usage_failure("error: x").hint, None);
    }

    #[test]
    fn usage_errors_have_a_hint() {
        let check = |said, expected| assert_eq!(usage_text(said), expected);
        check("error: x\n\n  tip: y\n", "error: x\n\nhint: y\n");
        check(
            "error: x\n\nFor more information, try '--help'.\n",
            "error: x\n\nhint: `--help` lists every option\n",
        );
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        #[source]
        cause: Option<Box<Layer>>,
    }

    fn check(texts: &[&'static str], expected: &[&str]) {
        let layers = texts
            .iter()
            .rev()
            .fold(None, |cause, text| Some(Box::new(Layer { text, cause })))
            .expect("at least one");
        assert_eq!(Failure::cannot_start(layers).chain(), expected);
    }

    #[test]
    fn a_cause_is_said_once() {
        check(&["a", "b", "c"], &["a", "b", "c"]);
        check(&["cannot read: no such file", "no such file"], &["cannot read: no such file"]);
        check(&["a", "", "a", "c"], &["a", "c"]);
    }
}
