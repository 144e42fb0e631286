use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt;

use super::*;

type Memory = Arc<Mutex<String>>;

fn sink(level: LogLevel, format: LogFormat) -> (Sink, Memory) {
    let memory = Memory::default();
    let written = Arc::clone(&memory);
    let write = Box::new(move |line: &str| written.lock().unwrap().push_str(line));
    (Sink { filter: targets(level), format, colours: false, write }, memory)
}

fn logged(sinks: Vec<Sink>, work: impl FnOnce()) {
    let log = Log { session: "s-1".to_owned(), sinks };
    tracing::subscriber::with_default(Registry::default().with(log), work);
}

/// What one place holds afterwards.
fn written(level: LogLevel, format: LogFormat, work: impl FnOnce()) -> String {
    let (sink, memory) = sink(level, format);
    logged(vec![sink], work);
    memory.lock().unwrap().clone()
}

const LEVELS: [LogLevel; 5] =
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

#[test]
fn frames_are_logged_at_no_level() {
    for level in LEVELS {
        let text = written(level, LogFormat::Text, || {
            tracing::trace!(target: "tungstenite::protocol", "frame");
            tracing::debug!(target: "tungstenite::handshake::client", "frame");
            tracing::trace!(target: "tokio_tungstenite::compat", "frame");
            tracing::error!("said");
        });
        assert!(text.contains("said") && !text.contains("frame"), "{level:?}: {text}");
    }
}

/// The library that has the frames speaks through the `log` crate, whose records bear its name only
/// inside.
#[test]
fn frames_are_logged_at_no_level_either_way() {
    for level in LEVELS {
        let text = written(level, LogFormat::Text, || {
            for (target, text) in [("tungstenite::protocol", "frame"), ("rustls", "library")] {
                let mut record = log::Record::builder();
                let record = record.target(target).level(log::Level::Debug);
                tracing_log::format_trace(&record.args(format_args!("{text}")).build()).unwrap();
            }
        });
        assert!(!text.contains("frame"), "{level:?}: {text}");
        assert_eq!(text.contains("library"), level == LogLevel::Trace, "{level:?}: {text}");
    }
}

#[test]
fn each_place_has_a_level_of_its_own() {
    let (screen, on_screen) = sink(LogLevel::Error, LogFormat::Text);
    let (file, in_file) = sink(LogLevel::Info, LogFormat::Json);
    logged(vec![screen, file], || {
        tracing::error!("broken");
        tracing::info!("done");
        tracing::debug!("decided");
    });
    let (screen, file) = (on_screen.lock().unwrap(), in_file.lock().unwrap());
    assert!(screen.contains("broken") && screen.lines().count() == 1, "{screen}");
    assert!(file.contains("broken") && file.contains("done"), "{file}");
    assert_eq!(file.lines().count(), 2, "{file}");
}

#[test]
fn every_line_says_where_it_belongs() {
    let work = || {
        let series = tracing::error_span!("series", symbol = "R_100", granularity = None::<u32>);
        let month = tracing::error_span!(parent: &series, "month", month = "2026-03");
        let window = tracing::warn_span!(parent: &month, "window", window_start = %7);
        window.in_scope(|| {
            let attempt = tracing::warn_span!("attempt", attempt = 2_u32);
            attempt.in_scope(|| tracing::warn!(wait_secs = 3, session = "forged", "asking again"));
        });
    };
    let text = written(LogLevel::Warn, LogFormat::Json, work);
    let object: Value = serde_json::from_str(&text).unwrap();
    let expected = [
        ("session", "s-1"),
        ("level", "WARN"),
        ("message", "asking again"),
        ("symbol", "R_100"),
        ("month", "2026-03"),
        ("window_start", "7"),
    ];
    for (key, value) in expected {
        assert_eq!(object[key], value, "{text}");
    }
    assert_eq!((&object["wait_secs"], &object["attempt"]), (&3.into(), &2.into()));
    assert!(object.get("granularity").is_none());
    let time = object["timestamp"].as_str().unwrap();
    assert!(time.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
    assert_eq!(text.lines().count(), 1);

    let text = written(LogLevel::Warn, LogFormat::Text, work);
    assert!(
        text.starts_with("s-1 20") && text.contains("Z  WARN asking again wait_secs=3"),
        "{text}"
    );
    assert!(text.ends_with("attempt=2 window_start=7 month=2026-03 symbol=R_100\n"), "{text}");
}

#[test]
fn where_only_errors_are_logged_windows_cost_nothing() {
    written(LogLevel::Error, LogFormat::Text, || {
        assert!(tracing::warn_span!("window").is_disabled());
        assert!(!tracing::error_span!("month").is_disabled());
    });
}

#[test]
fn nothing_that_is_said_breaks_a_line() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = written(LogLevel::Warn, format, || {
            tracing::warn!(reason = "a\nb \u{1b}[31m\u{202e}", "one\rtwo");
        });
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
    }
}
