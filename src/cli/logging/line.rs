//! One line of the log, as text or as JSON. Pure but for the time in front.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::super::settings::LogFormat;
use super::super::terminal::escaped;

/// Holds what is said; all other fields say it of something.
const MESSAGE: &str = "message";

/// Fields of an event or a span, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        // How the `log` crate names where its records come from; the line says it already.
        if field.name().starts_with("log.") {
            return;
        }
        match self.0.iter_mut().find(|(name, _)| *name == field.name()) {
            Some((_, old)) => *old = value,
            None => self.0.push((field.name(), value)),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::from(value));
    }
}

/// A line before it is written.
pub(super) struct Line<'a> {
    session: &'a str,
    time: String,
    level: Level,
    target: &'a str,
    /// Of the event itself.
    pub(super) fields: Fields,
    /// Of the spans around it, the innermost first.
    scope: Fields,
}

impl<'a> Line<'a> {
    pub(super) fn new(session: &'a str, metadata: &Metadata<'a>) -> Self {
        Self::at(session, *metadata.level(), metadata.target())
    }

    fn at(session: &'a str, level: Level, target: &'a str) -> Self {
        let mut time = String::new();
        // A clock that cannot be read leaves the line without its time.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        Self { session, time, level, target, fields: Fields::default(), scope: Fields::default() }
    }

    /// Says in the log itself that some of it is missing.
    pub(super) fn about_loss(session: &'a str, n_lines: u64, why: &str) -> Self {
        let mut line = Self::at(session, Level::WARN, "titan_download");
        line.fields.0 = vec![
            (MESSAGE, Value::from("lines of the log were lost here")),
            ("lines", Value::from(n_lines)),
            ("why", Value::from(why)),
        ];
        line
    }

    /// Adds the next span outwards; what is inside counts.
    pub(super) fn happens_in(&mut self, outer: &Fields) {
        for (name, value) in &outer.0 {
            if !self.scope.has(name) {
                self.scope.0.push((name, value.clone()));
            }
        }
    }

    /// The whole line with its line break, and without any other.
    pub(super) fn render(&self, format: LogFormat, colours: bool) -> String {
        match format {
            LogFormat::Text => self.text(colours),
            LogFormat::Json => self.json(),
        }
    }

    fn text(&self, colours: bool) -> String {
        let scope = self.scope.0.iter().filter(|(name, _)| !self.fields.has(name));
        let mut said = String::new();
        for (name, value) in self.fields.0.iter().chain(scope) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if *name == MESSAGE {
                said = format!("{text}{said}");
            } else if text.is_empty() || text.contains([' ', '"', '=']) {
                said.push_str(&format!(" {name}={text:?}"));
            } else {
                said.push_str(&format!(" {name}={text}"));
            }
        }
        // Nothing that the source says may steer a terminal or look like a line of ours.
        let said = escaped(said.trim_start());
        let (level, session, time) = (self.level, self.session, &self.time);
        if !colours {
            return format!("{session} {time} {level:>5} {said}\n");
        }
        let colour = match level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            Level::DEBUG => 34,
            Level::TRACE => 35,
        };
        format!("\u{1b}[2m{session} {time}\u{1b}[0m \u{1b}[{colour}m{level:>5}\u{1b}[0m {said}\n")
    }

    fn json(&self) -> String {
        let mut object = Map::new();
        for (name, value) in self.scope.0.iter().chain(&self.fields.0) {
            object.insert((*name).to_owned(), value.clone());
        }
        // Last, so that no field of an event takes their place.
        let head = [
            ("timestamp", self.time.as_str()),
            ("level", self.level.as_str()),
            ("target", self.target),
            ("session", self.session),
        ];
        object.extend(head.map(|(name, text)| (name.to_owned(), Value::from(text))));
        format!("{}\n", Value::from(object))
    }
}
