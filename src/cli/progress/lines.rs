//! What the display says, as lines for a terminal of any width. Pure.
//!
//! Every line fits, so that none wraps: what matters least is left out first. Nothing but ASCII and
//! no colours, so that `NO_COLOR` is always obeyed and every terminal can show it.

use std::time::Duration;

use super::super::report::text::{counted, span, thousands};

/// Everything to be shown at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Look {
    /// Series that are worked on.
    pub(super) series: Vec<SeriesLook>,
    pub(super) total: TotalLook,
    /// What is waited for.
    pub(super) wait: Option<Wait>,
}

/// A series that is worked on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SeriesLook {
    pub(super) name: String,
    /// The oldest month that is worked on.
    pub(super) month: String,
    /// Nothing is asked for it any more, it is being written.
    pub(super) is_writing: bool,
    pub(super) n_done: u64,
    pub(super) n_months: u64,
    pub(super) asked: u64,
    pub(super) left: u64,
    pub(super) rows: u64,
}

/// The run as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TotalLook {
    /// Nothing is planned yet.
    pub(super) is_preparing: bool,
    pub(super) rows: u64,
    /// Requests made, of whatever kind and success.
    pub(super) requests: u64,
    pub(super) asked: u64,
    pub(super) left: u64,
    pub(super) per_minute: Option<f64>,
    pub(super) rows_per_second: Option<f64>,
    pub(super) time_left: Option<Duration>,
}

/// What everything, or much, waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wait {
    pub(super) cause: Cause,
    /// `None` if nobody knows for how long.
    pub(super) left: Option<Duration>,
}

/// Why it is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The source refused a request as too frequent.
    RateLimit,
    /// The source does not answer; the breaker is open.
    SourceAway,
    /// The breaker is half open: one request tries.
    Probing,
    /// There is no connection.
    Connecting,
    /// The hour's requests are used up.
    HourBudget,
    /// An attempt failed.
    Retry,
}

impl Cause {
    /// For people, long and short.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::RateLimit => ("the source refused a request as too frequent", "rate limit"),
            Self::SourceAway => {
                ("the source does not answer, then it is tried again", "source away")
            }
            Self::Probing => ("one request tries whether the source is back", "trying the source"),
            Self::Connecting => ("connecting to the source", "connecting"),
            Self::HourBudget => ("the hour's budget of requests is used up", "hour's budget"),
            Self::Retry => ("a request failed and is made again", "retry"),
        }
    }
}

impl Wait {
    fn line(self, words: &str) -> String {
        match self.left {
            Some(left) => format!("waiting {}: {words}", countdown(left)),
            None => format!("waiting: {words}"),
        }
    }
}

/// The lines, each shorter than `width`: a character in the last column would wrap in some
/// terminals.
pub(super) fn paint(look: &Look, width: usize) -> Vec<String> {
    let most = width.saturating_sub(1).max(1);
    let name_width = look.series.iter().map(|series| series.name.len()).max().unwrap_or(0);
    let mut lines = series_lines(&look.series, most);
    lines.push(fitting(total_candidates(&look.total, name_width), most));
    if let Some(wait) = look.wait {
        let (long, short) = wait.cause.words();
        lines.push(fitting([wait.line(long), wait.line(short)], most));
    }
    lines
}

/// The same on one line, for a log file.
pub(super) fn plain(look: &Look) -> String {
    let mut text = total_facts(&look.total).join(", ");
    if let Some(wait) = look.wait {
        text.push_str("; ");
        text.push_str(&wait.line(wait.cause.words().0));
    }
    text
}

/// The first that fits; if none does, the last one cut off.
fn fitting(candidates: impl IntoIterator<Item = String>, most: usize) -> String {
    let mut last = String::new();
    for candidate in candidates {
        if candidate.len() <= most {
            return candidate;
        }
        last = candidate;
    }
    last.chars().take(most).collect()
}

/// What a line of a series may hold; the wider ones hold more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Wide,
    Medium,
    Small,
    Narrow,
}

/// All series in the widest layout in which all fit.
fn series_lines(series: &[SeriesLook], most: usize) -> Vec<String> {
    for layout in [Layout::Wide, Layout::Medium, Layout::Small, Layout::Narrow] {
        let rows: Vec<_> = series.iter().map(|series| series.cells(layout)).collect();
        let lines = aligned(&rows);
        if lines.iter().all(|line| line.len() <= most) {
            return lines;
        }
    }
    // What tells one series from the other is kept, and how far it is.
    series.iter().map(|series| series.cut(most)).collect()
}

impl SeriesLook {
    fn share(&self) -> String {
        percent(self.asked, self.left)
    }

    fn cells(&self, layout: Layout) -> Vec<String> {
        let left = |words: &str| match self.is_writing {
            true => "being written".to_owned(),
            false => format!("{}{words}", thousands(self.left)),
        };
        let head = [self.name.clone()];
        let cells = match layout {
            Layout::Wide => vec![
                bar(self.asked, self.left, 16),
                self.share(),
                self.month.clone(),
                format!("{} of {} done", self.n_done, counted(self.n_months, "month")),
                counted(self.rows, "row"),
                left(" requests left"),
            ],
            Layout::Medium => vec![
                bar(self.asked, self.left, 10),
                self.share(),
                self.month.clone(),
                counted(self.rows, "row"),
                left(" left"),
            ],
            Layout::Small => vec![self.share(), self.month.clone(), counted(self.rows, "row")],
            Layout::Narrow => vec![self.share(), format!("{} rows", short(self.rows))],
        };
        head.into_iter().chain(cells).collect()
    }

    fn cut(&self, most: usize) -> String {
        let share = self.share();
        let room = most.saturating_sub(share.len() + 1);
        let name: String = self.name.chars().take(room).collect();
        fitting([format!("{name} {share}")], most)
    }
}

/// Cells in columns two apart: the first one on the left, counts on the right of theirs.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let n_columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.len());
            let is_count = cell.starts_with(|c: char| c.is_ascii_digit());
            let parts = if index > 0 && is_count { [&pad, cell] } else { [cell, &pad] };
            line.extend(parts.map(String::as_str));
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

/// The facts of a run in the order in which they are read.
fn total_facts(total: &TotalLook) -> Vec<String> {
    if total.is_preparing {
        return vec![format!("preparing, {}", counted(total.requests, "request"))];
    }
    let mut facts = vec![counted(total.rows, "row"), counted(total.requests, "request")];
    facts.extend(total.per_minute.map(rate));
    facts.extend(total.rows_per_second.map(|rows| format!("{} rows/s", thousands(rows as u64))));
    facts.extend(total.time_left.map(|left| format!("about {} left", about(left))));
    facts
}

fn total_candidates(total: &TotalLook, name_width: usize) -> Vec<String> {
    let facts = total_facts(total);
    if total.is_preparing {
        return facts;
    }
    let share = percent(total.asked, total.left);
    let head = format!("{:name_width$}  ", "total");
    let bar = bar(total.asked, total.left, 16);
    let is_speed = |fact: &&String| fact.ends_with("rows/s");
    let without_speed: Vec<_> = facts.iter().filter(|fact| !is_speed(fact)).cloned().collect();
    let mut few = vec![share.trim().to_owned(), format!("{} rows", short(total.rows))];
    few.extend(total.per_minute.map(rate));
    let left = total.time_left.map(|left| format!("{} left", about(left)));
    few.extend(left.clone());
    let least: Vec<_> = [share.trim().to_owned()].into_iter().chain(left).collect();
    vec![
        format!("{head}{bar}  {share}  {}", facts.join(", ")),
        format!("total  {}, {}", share.trim(), facts.join(", ")),
        format!("total  {}, {}", share.trim(), without_speed.join(", ")),
        few.join(", "),
        least.join(", "),
    ]
}

fn rate(per_minute: f64) -> String {
    format!("{}/min", thousands(per_minute.round() as u64))
}

/// ` 38%`; all of it only when nothing is left.
fn percent(asked: u64, left: u64) -> String {
    let share = match (asked, left) {
        (0, 0) => 0,
        (_, 0) => 100,
        _ => (u128::from(asked) * 100 / u128::from(asked + left)).min(99),
    };
    format!("{share:>3}%")
}

/// `[=====>    ]`, `width` characters between the brackets.
fn bar(asked: u64, left: u64, width: usize) -> String {
    let all = (asked + left).max(1) as f64;
    let full = ((asked as f64 / all * width as f64) as usize).min(width);
    let head = if full < width { ">" } else { "" };
    let filled = format!("{}{head}", "=".repeat(full));
    format!("[{filled:width$}]")
}

/// `987`, `12k`, `1.2M`, `34M`.
fn short(number: u64) -> String {
    let scaled = |unit: f64, name: &str| {
        let value = number as f64 / unit;
        if value < 9.95 { format!("{value:.1}{name}") } else { format!("{value:.0}{name}") }
    };
    match number {
        0..1_000 => number.to_string(),
        1_000..999_500 => scaled(1e3, "k"),
        999_500..999_500_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// An estimate, no more exact than it can be: `45s`, `4m 10s`, `41m`, `2h 05m`, `1d 03h`.
pub(crate) fn about(time: Duration) -> String {
    let secs = time.as_secs_f64();
    let to = |step: f64| Duration::from_secs_f64((secs / step).round() * step);
    match secs {
        ..9.5 => format!("{}s", secs.ceil()),
        ..60.0 => span(to(1.0)),
        ..600.0 => span(to(10.0)),
        ..3_570.0 => format!("{}m", (secs / 60.0).round()),
        ..36_000.0 => span(to(300.0)),
        _ => span(to(1_800.0)),
    }
}

/// Whole seconds, the one that runs included.
fn countdown(left: Duration) -> String {
    let secs = left.as_secs_f64().ceil() as u64;
    if secs < 60 { format!("{secs}s") } else { span(Duration::from_secs(secs)) }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
