//! `.titan/last-run.json`: how the run that started last goes or went, and in short the ones before.
//! Pure: whoever has the lock says what is there, and writes what comes out.
//!
//! Each run changes only the entry that bears its session, so runs side by side lose nothing of
//! each other. What cannot be read is begun anew: nothing depends on it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of this file alone.
const VERSION: u32 = 1;

/// Runs that are remembered, the last one included.
pub(super) const MOST_RUNS: usize = 31;

/// A text in here is a name or a sentence.
const MOST_CHARS: usize = 500;

/// The word for a run at work.
pub(super) const RUNNING: &str = "running";

/// The word for a run that ended without saying how.
const KILLED: &str = "killed";

/// One run. Times are UTC by the clock of this machine, as ISO-8601.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunNote {
    /// Names the run in logs and locks.
    pub session: String,
    /// What ran: `download`.
    pub command: String,
    /// `running`, `killed`, or the word of the exit code.
    pub outcome: String,
    /// What the shell saw; null unless it ended.
    pub exit_code: Option<u8>,
    /// When it began.
    pub started_at: String,
    /// When it last said anything.
    pub updated_at: String,
    /// When it ended; of one that was killed, when it last said anything.
    pub ended_at: Option<String>,
    /// The clock of the source when the plan was made.
    pub server_time: Option<String>,
    /// How long it ran.
    pub elapsed_secs: f64,
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// On which machine.
    pub host: String,
    /// Tells its process from later ones with the same number.
    pub process: Option<String>,
    /// Among which processes its number counts: a container has numbers of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Series asked for.
    pub series: u64,
    /// Months asked for.
    pub partitions: u64,
    /// Months published.
    pub partitions_published: u64,
    /// Requests that count, retries included.
    pub requests: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Requests refused as too frequent.
    pub refusals: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Waiting, added up over requests.
    pub waited_secs: f64,
    /// Rows that answers proved.
    pub rows_received: u64,
    /// Rows published that were not on disk.
    pub rows_new: u64,
    /// Bytes of the files published.
    pub bytes_written: u64,
    /// Only of the run that started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl RunNote {
    /// Nothing was heard of it any more.
    pub(super) fn end_without_a_word(&mut self) {
        KILLED.clone_into(&mut self.outcome);
        self.ended_at = Some(self.updated_at.clone());
    }
}

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastRunFile {
    format_version: u32,
    /// The run that started last.
    #[serde(flatten)]
    pub(crate) last: RunNote,
    /// The runs before it, the latest first.
    #[serde(default)]
    pub(crate) history: Vec<RunNote>,
}

impl LastRunFile {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// If it is not one of this version; the text says why.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match file.format_version {
            VERSION => Ok(file),
            other => Err(format!("format version {other}")),
        }
    }

    /// The run that started last, and those before it, the latest first.
    pub(super) fn into_runs(self) -> Vec<RunNote> {
        std::iter::once(self.last).chain(self.history).collect()
    }
}

/// What became of the file.
pub(super) struct Noted {
    /// Its new content; `None` if a newer version of the program wrote it.
    pub(super) bytes: Option<Vec<u8>>,
    /// The runs that turned out to have ended without a word.
    pub(super) killed: Vec<RunNote>,
    /// Why the old content is not used.
    pub(super) problem: Option<String>,
}

/// Puts in how a run stands. `is_gone` tells of a run that says it is at work whether it is not.
pub(super) fn noted(
    old: Option<&[u8]>,
    own: &RunNote,
    is_gone: impl Fn(&RunNote) -> bool,
) -> Noted {
    let (mut runs, mut problem) = (Vec::new(), None);
    match old.map(LastRunFile::from_json) {
        None => {}
        Some(Ok(file)) => runs = file.into_runs(),
        Some(Err(why)) => {
            let version = old.and_then(newer_version);
            let is_newer = version.is_some_and(|version| version > u64::from(VERSION));
            problem = Some(why);
            if is_newer {
                return Noted { bytes: None, killed: Vec::new(), problem };
            }
        }
    }
    match runs.iter().position(|run| run.session == own.session) {
        Some(at) => runs[at] = own.clone(),
        None => runs.insert(0, own.clone()),
    }
    runs.truncate(MOST_RUNS);
    let mut killed = Vec::new();
    for run in runs.iter_mut().filter(|run| run.session != own.session) {
        run.details = None;
        if run.outcome == RUNNING && is_gone(run) {
            run.end_without_a_word();
            killed.push(run.clone());
        }
    }
    runs.iter_mut().for_each(shorten);
    let last = runs.remove(0);
    runs.iter_mut().for_each(|run| run.details = None);
    let file = LastRunFile { format_version: VERSION, last, history: runs };
    let mut bytes = serde_json::to_vec_pretty(&file).expect("plain values always become JSON");
    bytes.push(b'\n');
    Noted { bytes: Some(bytes), killed, problem }
}

fn newer_version(bytes: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(bytes).ok()?.get("format_version")?.as_u64()
}

/// A foreign hand may have put anything there.
fn shorten(run: &mut RunNote) {
    let texts = [
        &mut run.session,
        &mut run.command,
        &mut run.outcome,
        &mut run.started_at,
        &mut run.updated_at,
        &mut run.version,
        &mut run.host,
    ];
    let more = [&mut run.ended_at, &mut run.server_time, &mut run.process, &mut run.namespace];
    for text in texts.into_iter().chain(more.into_iter().flatten()) {
        *text = shortened(text);
    }
}

/// The beginning of a long text.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(session: &str, outcome: &str) -> RunNote {
        RunNote {
            session: session.to_owned(),
            outcome: outcome.to_owned(),
            updated_at: format!("{session}'s last word"),
            details: Some(json!({ "of": session })),
            ..RunNote::default()
        }
    }

    fn file(noted: &Noted) -> LastRunFile {
        LastRunFile::from_json(noted.bytes.as_deref().unwrap()).unwrap()
    }

    fn sessions(file: &LastRunFile) -> Vec<&str> {
        let all = std::iter::once(&file.last).chain(&file.history);
        all.map(|run| run.session.as_str()).collect()
    }

    fn never(_: &RunNote) -> bool {
        false
    }

    #[test]
    fn the_last_run_comes_first_and_others_are_kept_in_short() {
        let first = noted(None, &run("a", RUNNING), never);
        let second = noted(first.bytes.as_deref(), &run("b", RUNNING), never);
        assert_eq!(sessions(&file(&second)), ["b", "a"]);
        // The older of two that run side by side changes its own entry alone.
        let third = noted(second.bytes.as_deref(), &run("a", "success"), never);
        let third = file(&third);
        assert_eq!(sessions(&third), ["b", "a"]);
        assert_eq!(
            (third.last.outcome.as_str(), third.history[0].outcome.as_str()),
            (RUNNING, "success")
        );
        assert_eq!(third.last.details, None, "what another run writes is short");
        assert_eq!(third.history[0].details, None);
        let fourth = noted(second.bytes.as_deref(), &run("b", "success"), never);
        assert_eq!(file(&fourth).last.details, Some(json!({ "of": "b" })));
    }

    #[test]
    fn a_run_that_is_gone_is_told_once() {
        let first = noted(None, &run("a", RUNNING), never);
        let second = noted(first.bytes.as_deref(), &run("b", RUNNING), |_| true);
        assert_eq!(second.killed.len(), 1);
        let third = noted(second.bytes.as_deref(), &run("b", RUNNING), |_| true);
        assert!(third.killed.is_empty(), "neither twice nor of itself");
        let killed = &file(&third).history[0];
        assert_eq!((killed.outcome.as_str(), killed.exit_code), (KILLED, None));
        assert_eq!(killed.ended_at.as_deref(), Some("a's last word"));
    }

    #[test]
    fn it_does_not_grow() {
        let mut bytes = None;
        for n in 0..100 {
            let mut run = run(&n.to_string(), "success");
            run.host = "h".repeat(100_000);
            bytes = noted(bytes.as_deref(), &run, never).bytes;
        }
        let bytes = bytes.unwrap();
        let file = LastRunFile::from_json(&bytes).unwrap();
        assert_eq!(file.history.len(), MOST_RUNS - 1);
        assert_eq!((file.last.session.as_str(), file.history[0].session.as_str()), ("99", "98"));
        assert!(bytes.len() < 60_000, "{} bytes", bytes.len());
    }

    #[test]
    fn what_cannot_be_read_is_begun_anew_and_what_is_newer_stays() {
        for damaged in
            ["", "{", "[]", "null", "\u{0}", "{\"format_version\":\"x\"}", "{\"format_version\":0}"]
        {
            let noted = noted(Some(damaged.as_bytes()), &run("a", RUNNING), never);
            assert!(noted.problem.is_some(), "{damaged}");
            assert_eq!(sessions(&file(&noted)), ["a"]);
        }
        let newer = noted(Some(b"{\"format_version\":2,\"runs\":7}"), &run("a", RUNNING), never);
        assert!(newer.bytes.is_none() && newer.problem.unwrap().contains('2'));
        // Keys of its own that it does not know, and those that are missing, do no harm.
        let odd = b"{\"format_version\":1,\"session\":\"z\",\"later\":{\"x\":1}}";
        let noted = noted(Some(odd), &run("a", RUNNING), never);
        assert!(noted.problem.is_none());
        assert_eq!(sessions(&file(&noted)), ["a", "z"]);
    }
}
