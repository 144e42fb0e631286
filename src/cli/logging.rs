//! The log: text or JSON lines on stderr and in a file, each with the session it belongs to and
//! with series, month, window and attempt as far as they are known.

mod file;
mod line;

use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt;

use super::error::Failure;
use super::settings::{LogFormat, LogLevel, Talk, Volume};
use super::terminal::Terminal;

pub use file::LogFile;
use line::{Fields, Line};

/// Starts the log. A second call changes nothing but opens its file.
///
/// # Errors
///
/// If the file of the log cannot be opened.
pub fn start(talk: &Talk, terminal: &Terminal, session: &str) -> Result<Option<LogFile>, Failure> {
    let said = terminal.clone();
    let mut sinks = vec![Sink {
        filter: targets(screen_level(talk.volume)),
        format: talk.log_format,
        colours: terminal.has_colours() && talk.log_format == LogFormat::Text,
        write: Box::new(move |line| said.say(line)),
    }];
    let opened = talk.log_file.as_ref().map(|choice| {
        let (format, session) = (talk.log_format, session.to_owned());
        let note = move |n, why: &str| Line::about_loss(&session, n, why).render(format, false);
        LogFile::open(&choice.path, note).map(|file| (file, choice.level))
    });
    let file = match opened.transpose()? {
        Some((file, level)) => {
            let queue = file.queue();
            sinks.push(Sink {
                filter: targets(level),
                format: talk.log_format,
                colours: false,
                write: Box::new(move |line| queue.push(line)),
            });
            Some(file)
        }
        None => None,
    };
    let log = Log { session: session.to_owned(), sinks };
    // Only a test that runs two commands in one process comes here twice.
    drop(Registry::default().with(log).try_init());
    Ok(file)
}

fn screen_level(volume: Volume) -> LogLevel {
    match volume {
        Volume::Quiet => LogLevel::Error,
        Volume::Normal => LogLevel::Warn,
        Volume::Verbose(1) => LogLevel::Info,
        Volume::Verbose(2) => LogLevel::Debug,
        Volume::Verbose(_) => LogLevel::Trace,
    }
}

/// Which events are logged; libraries stay silent until they are asked for. Those that carry the
/// frames are never asked for more than `info`: below that they print them, token included.
fn targets(level: LogLevel) -> Targets {
    let (libraries, own) = match level {
        LogLevel::Error => (Level::ERROR, Level::ERROR),
        LogLevel::Warn => (Level::WARN, Level::WARN),
        LogLevel::Info => (Level::WARN, Level::INFO),
        LogLevel::Debug => (Level::INFO, Level::DEBUG),
        LogLevel::Trace => (Level::DEBUG, Level::TRACE),
    };
    let frames = libraries.min(Level::INFO);
    Targets::new()
        .with_default(libraries)
        .with_target("titan_download", own)
        .with_targets([("tungstenite", frames), ("tokio_tungstenite", frames)])
}

/// A place where lines go.
struct Sink {
    filter: Targets,
    format: LogFormat,
    colours: bool,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

/// Takes in events and the spans they happen in.
struct Log {
    session: String,
    sinks: Vec<Sink>,
}

impl Log {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.sinks.iter().any(|sink| sink.takes(metadata))
    }
}

impl Sink {
    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.would_enable(metadata.target(), metadata.level())
    }
}

impl<S> Layer<S> for Log
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let hint = |sink: &Sink| <Targets as Layer<Registry>>::max_level_hint(&sink.filter);
        // Whoever gives no hint takes everything.
        self.sinks.iter().map(|sink| hint(sink).unwrap_or(LevelFilter::TRACE)).max()
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        // What comes from the `log` crate bears the name of its library inside; by that name it is
        // decided whether it is one of those that print frames.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        if !self.wants(metadata) {
            return;
        }
        let mut line = Line::new(&self.session, metadata);
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.happens_in(fields);
            }
        }
        event.record(&mut line.fields);
        for sink in self.sinks.iter().filter(|sink| sink.takes(metadata)) {
            (sink.write)(&line.render(sink.format, sink.colours));
        }
    }
}

#[cfg(test)]
mod tests;
