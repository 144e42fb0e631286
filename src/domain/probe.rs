//! What was assumed of something outside, and what was seen when it was tried.

use serde::Serialize;
use serde_json::Value;

/// How an assumption stood the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As assumed.
    Ok,
    /// Otherwise than assumed.
    Differs,
    /// It could not be found out, because something failed.
    Failed,
    /// It was not tried.
    Skipped,
}

impl Verdict {
    /// The word in tables and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Differs => "differs",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What was seen, before it is known which assumption it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// How the assumption stands.
    pub verdict: Verdict,
    /// What was seen, or why nothing was.
    pub seen: String,
    /// What that means for whoever uses the program; empty if nothing.
    pub means: String,
}

impl Judged {
    /// As assumed.
    pub fn ok(seen: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, seen: seen.into(), means: String::new() }
    }

    /// Otherwise than assumed.
    pub fn differs(seen: impl Into<String>, means: impl Into<String>) -> Self {
        Self { verdict: Verdict::Differs, seen: seen.into(), means: means.into() }
    }

    /// Something failed.
    pub fn failed(seen: impl Into<String>, means: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, seen: seen.into(), means: means.into() }
    }

    /// Not tried.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, seen: why.into(), means: String::new() }
    }
}

/// A request and its answer, shortened and made harmless.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeExchange {
    /// What was asked.
    pub request: Value,
    /// What came, with long lists and texts cut short; null if nothing readable did.
    pub response: Value,
    /// Size of the answer as it came.
    pub response_bytes: usize,
    /// From asking to the answer.
    pub took_millis: u64,
}

/// One assumption that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probe {
    /// Its name; lasts.
    pub name: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was assumed.
    pub assumed: String,
    /// What was seen, or why nothing was.
    pub seen: String,
    /// What that means for whoever uses the program; empty if nothing.
    pub means: String,
    /// What was asked and answered to find it out; empty if another probe's answers told it.
    pub exchanges: Vec<ProbeExchange>,
}

impl Probe {
    /// Puts an assumption and what was seen together.
    pub fn new(name: &'static str, assumed: impl Into<String>, judged: Judged) -> Self {
        let Judged { verdict, seen, means } = judged;
        Self { name, verdict, assumed: assumed.into(), seen, means, exchanges: Vec::new() }
    }
}
