//! The log on stderr: text or JSON lines, each with the session it belongs to.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::settings::{LogFormat, Talk, Volume};
use super::terminal::Terminal;

/// Starts the log. A second call changes nothing.
pub fn start(talk: &Talk, terminal: &Terminal, session: &str) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(talk.volume)))
        .with_writer(Above(terminal.clone()))
        .with_ansi(terminal.has_colours() && talk.log_format == LogFormat::Text);
    let session = session.to_owned();
    let started = match talk.log_format {
        LogFormat::Text => builder
            .event_format(TextLine {
                inner: format::format().with_target(false).compact(),
                session,
            })
            .try_init(),
        LogFormat::Json => builder
            .fmt_fields(format::JsonFields::new())
            .event_format(JsonLine { inner: format::format().json().flatten_event(true), session })
            .try_init(),
    };
    // Only a test that runs two commands in one process comes here twice.
    drop(started);
}

/// Which events are logged; libraries stay silent until they are asked for. Those that carry the
/// frames are never asked for more than `info`: below that they print them, token included.
fn filter(volume: Volume) -> &'static str {
    match volume {
        Volume::Quiet => "error",
        Volume::Normal => "warn",
        Volume::Verbose(1) => "warn,titan_download=info",
        Volume::Verbose(2) => "info,titan_download=debug",
        Volume::Verbose(_) => "debug,titan_download=trace,tungstenite=info,tokio_tungstenite=info",
    }
}

/// Writes each line above the bars.
#[derive(Clone)]
struct Above(Terminal);

impl<'a> MakeWriter<'a> for Above {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { terminal: self.0.clone(), bytes: Vec::new() }
    }
}

/// One line on its way; it is said when it is complete.
struct Line {
    terminal: Terminal,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.terminal.say(&String::from_utf8_lossy(&self.bytes));
        }
    }
}

/// A line of text with the session in front.
struct TextLine<F> {
    inner: F,
    session: String,
}

impl<S, N, F> FormatEvent<S, N> for TextLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "{} ", self.session)?;
        self.inner.format_event(context, writer, event)
    }
}

/// A JSON object with the session among its keys.
struct JsonLine<F> {
    inner: F,
    session: String,
}

impl<S, N, F> FormatEvent<S, N> for JsonLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let mut object: Map<String, Value> = serde_json::from_str(&line).unwrap_or_default();
        object.insert("session".to_owned(), Value::from(self.session.as_str()));
        writeln!(writer, "{}", Value::from(object))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Memory {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn frames_are_logged_at_no_volume() {
        for volume in [Volume::Quiet, Volume::Normal].into_iter().chain((1..5).map(Volume::Verbose))
        {
            let memory = Memory::default();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::new(filter(volume)))
                .with_writer(memory.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::trace!(target: "tungstenite::protocol", "frame");
                tracing::debug!(target: "tungstenite::handshake::client", "frame");
                tracing::trace!(target: "tokio_tungstenite::compat", "frame");
                tracing::error!("said");
            });
            let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
            assert!(text.contains("said") && !text.contains("frame"), "{volume:?}: {text}");
        }
    }

    #[test]
    fn every_line_names_its_session() {
        let memory = Memory::default();
        let session = "s-1".to_owned();
        let json = JsonLine { inner: format::format().json().flatten_event(true), session };
        let subscriber = tracing_subscriber::fmt()
            .with_writer(memory.clone())
            .fmt_fields(format::JsonFields::new())
            .event_format(json)
            .finish();
        tracing::subscriber::with_default(subscriber, || tracing::warn!(wait_secs = 3, "waiting"));
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        let object: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(object["session"], "s-1");
        assert_eq!(object["wait_secs"], 3);
        assert_eq!(object["message"], "waiting");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_text_line_names_its_session_too() {
        let memory = Memory::default();
        let text = TextLine { inner: format::format().compact(), session: "s-2".to_owned() };
        let subscriber = tracing_subscriber::fmt()
            .with_writer(memory.clone())
            .with_ansi(false)
            .event_format(text)
            .finish();
        tracing::subscriber::with_default(subscriber, || tracing::warn!("waiting"));
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("s-2 ") && text.ends_with("waiting\n"), "{text:?}");
    }
}
