//! The metrics of a run, as `docs/operations.md` lists them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{Defect, DefectCounts, Epoch, Kind, Series};
use crate::format::Standing;
use crate::resilience::{BreakerState, RequestStats, Tally};

use super::super::exit::ExitCode;
use super::exposition::{Exposition, Labels, Sample, Sort, labels, samples};

use Sort::{Counter, Gauge};

/// Every name begins like this.
macro_rules! name {
    ($rest:literal) => {
        concat!("titan_download_", $rest)
    };
}

const LAST_SUCCESS: &str = name!("last_success_time_seconds");
const LAST_EXIT: &str = name!("last_exit_code");
const LAST_OUTCOME: &str = name!("last_outcome");
const LAST_END: &str = name!("last_end_time_seconds");
const LAST_DURATION: &str = name!("last_duration_seconds");
const UP_TO_DATE: &str = name!("series_up_to_date");

/// What was asked of the source so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) stats: RequestStats,
    pub(crate) tally: Tally,
    pub(crate) breaker: BreakerState,
    pub(crate) breaker_openings: u64,
    pub(crate) reconnects: u64,
    pub(crate) stray_answers: u64,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            stats: RequestStats::default(),
            tally: Tally::default(),
            breaker: BreakerState::Closed,
            breaker_openings: 0,
            reconnects: 0,
            stray_answers: 0,
        }
    }
}

/// What a run did to one series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SeriesCounts {
    pub(super) rows_received: u64,
    pub(super) rows_new: u64,
    pub(super) bytes: u64,
    pub(super) published: u64,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) exit: ExitCode,
    pub(super) at: Epoch,
    /// Whether each series asked for is on disk as far as it was wanted; empty if nobody looked.
    pub(super) up_to_date: BTreeMap<Series, bool>,
}

/// Everything a metric is made of.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) version: &'a str,
    pub(super) now: Epoch,
    pub(super) started: Epoch,
    pub(super) elapsed: Duration,
    pub(super) ended: Option<&'a Ended>,
    pub(super) asked: Asked,
    pub(super) thrown_away: DefectCounts,
    pub(super) series: &'a BTreeMap<Series, SeriesCounts>,
    /// How the archive stands, by its `watermark.json`.
    pub(super) standings: &'a [Standing],
    pub(super) carried: &'a Carried,
}

/// What the last run left in the file, and what stays true until another one ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Carried(BTreeMap<&'static str, Vec<Sample>>);

impl Carried {
    /// Reads the file of the last run; what is in bad form is forgotten.
    pub(super) fn from_file(text: &str) -> Self {
        let names = [LAST_SUCCESS, LAST_EXIT, LAST_OUTCOME, LAST_END, LAST_DURATION, UP_TO_DATE];
        Self(names.into_iter().map(|name| (name, samples(text, name))).collect())
    }

    fn get(&self, name: &str) -> Vec<Sample> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

/// The whole file.
pub(super) fn render(view: &View<'_>) -> String {
    let mut file = Exposition::default();
    let version = labelled(&[("version", view.version)], 1.0);
    file.add(Gauge, name!("build_info"), "The program that wrote this file.", [version]);
    add_run(&mut file, view);
    add_last(&mut file, view);
    add_requests(&mut file, view);
    add_counts(&mut file, view);
    add_series(&mut file, view);
    file.into_text()
}

fn labelled(pairs: &[(&str, &str)], value: f64) -> Sample {
    Sample { labels: labels(pairs), value }
}

/// One value for each word, 1 for the one that is so.
fn states<'a>(
    label: &'a str,
    words: &'a [&'a str],
    is: &'a str,
) -> impl Iterator<Item = Sample> + 'a {
    words.iter().map(move |word| labelled(&[(label, word)], if *word == is { 1.0 } else { 0.0 }))
}

#[allow(clippy::cast_precision_loss)] // a count beyond 2^53 is none of a run
fn number(n: u64) -> f64 {
    n as f64
}

#[allow(clippy::cast_precision_loss)] // epochs are far below 2^53
fn seconds(epoch: Epoch) -> f64 {
    epoch.secs() as f64
}

fn add_run(file: &mut Exposition, view: &View<'_>) {
    let active = if view.ended.is_some() { 0.0 } else { 1.0 };
    file.add_one(Gauge, name!("run_active"), "Whether a run is at work.", active);
    let started = seconds(view.started);
    let help = "When the run of this file started; its counters began at zero then.";
    file.add_one(Gauge, name!("run_start_time_seconds"), help, started);
    let elapsed = view.elapsed.as_secs_f64();
    file.add_one(Gauge, name!("run_duration_seconds"), "How long it has run.", elapsed);
}

/// What is known of the run that ended last: this one, or the one before while this one works.
fn add_last(file: &mut Exposition, view: &View<'_>) {
    let one = |value| vec![Sample { labels: Vec::new(), value }];
    let carried = |name| view.carried.get(name);
    let (success, exit, outcome, end, duration) = match view.ended {
        None => {
            let all = [LAST_SUCCESS, LAST_EXIT, LAST_OUTCOME, LAST_END, LAST_DURATION];
            let [success, exit, outcome, end, duration] = all.map(carried);
            (success, exit, outcome, end, duration)
        }
        Some(ended) => {
            let is_success = ended.exit == ExitCode::Success;
            let success = if is_success { one(seconds(ended.at)) } else { carried(LAST_SUCCESS) };
            let word = ended.exit.word();
            (
                success,
                one(f64::from(ended.exit.number())),
                states("outcome", &ExitCode::WORDS, word).collect(),
                one(seconds(ended.at)),
                one(view.elapsed.as_secs_f64()),
            )
        }
    };
    let help = "When a run last ended with exit code 0.";
    file.add(Gauge, LAST_SUCCESS, help, success);
    file.add(Gauge, LAST_EXIT, "Exit code of the run that ended last.", exit);
    file.add(Gauge, LAST_OUTCOME, "How the run that ended last ended.", outcome);
    file.add(Gauge, LAST_END, "When the run that ended last ended.", end);
    file.add(Gauge, LAST_DURATION, "How long the run that ended last took.", duration);
}

fn add_requests(file: &mut Exposition, view: &View<'_>) {
    let Asked { stats, tally, breaker, .. } = view.asked;
    let mut count = |name, help, n| file.add_one(Counter, name, help, number(n));
    let help = "Requests that count against the budget of the source, retries included.";
    count(name!("requests_total"), help, stats.requests);
    let help = "Requests that the source refused as too frequent.";
    count(name!("refusals_total"), help, stats.refusals);
    let help = "Connections after the first.";
    count(name!("reconnects_total"), help, view.asked.reconnects);
    let help = "Answers that nobody waited for.";
    count(name!("stray_answers_total"), help, view.asked.stray_answers);
    let help = "How often the breaker opened.";
    count(name!("breaker_openings_total"), help, view.asked.breaker_openings);
    let retries = tally.retries.iter().map(|(cause, n)| labelled(&[("cause", cause)], number(*n)));
    file.add(Counter, name!("retries_total"), "Requests made again, by cause.", retries);
    let waited =
        |(cause, time): &(&str, Duration)| labelled(&[("cause", cause)], time.as_secs_f64());
    let help = "Time spent waiting, added up over requests, by cause.";
    file.add(Counter, name!("waiting_seconds_total"), help, tally.waited.iter().map(waited));
    let thrown_away = Defect::ALL.iter().map(|defect| {
        labelled(&[("reason", defect.name())], number(view.thrown_away.get(*defect)))
    });
    let help = "Answers thrown away, by what was wrong with them.";
    file.add(Counter, name!("answers_thrown_away_total"), help, thrown_away);
    let word = match breaker {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    };
    let help = "What the breaker does; while it is open nothing is asked.";
    file.add(
        Gauge,
        name!("breaker_state"),
        help,
        states("state", &["closed", "open", "half_open"], word),
    );
}

/// What the run did to each series.
fn add_counts(file: &mut Exposition, view: &View<'_>) {
    let mut count = |name, help, of: fn(&SeriesCounts) -> u64| {
        let samples = view.series.iter().map(|(series, counts)| Sample {
            labels: series_labels(series),
            value: number(of(counts)),
        });
        file.add(Counter, name, help, samples);
    };
    let help = "Rows that answers proved, those on disk before included.";
    count(name!("rows_received_total"), help, |counts| counts.rows_received);
    let help = "Rows published that were not on disk before.";
    count(name!("rows_new_total"), help, |counts| counts.rows_new);
    let help = "Bytes of the Parquet files that were published.";
    count(name!("written_bytes_total"), help, |counts| counts.bytes);
    let help = "Months that were published.";
    count(name!("partitions_published_total"), help, |counts| counts.published);
}

fn series_labels(series: &Series) -> Labels {
    let (kind, granularity) = match series.kind {
        Kind::Ticks => ("ticks", String::new()),
        Kind::Candles(granularity) => ("candles", granularity.to_string()),
    };
    labels(&[("symbol", series.symbol.as_str()), ("kind", kind), ("granularity", &granularity)])
}

fn standing_labels(standing: &Standing) -> Labels {
    let granularity = standing.granularity.map_or_else(String::new, |secs| secs.to_string());
    let Standing { symbol, kind, .. } = standing;
    labels(&[("symbol", symbol), ("kind", kind), ("granularity", &granularity)])
}

/// How the archive stands, whoever brought it there.
fn add_series(file: &mut Exposition, view: &View<'_>) {
    let each = |of: &dyn Fn(&Standing) -> Option<f64>| -> Vec<Sample> {
        let sample = |standing: &Standing| {
            Some(Sample { labels: standing_labels(standing), value: of(standing)? })
        };
        view.standings.iter().filter_map(sample).collect()
    };
    let mut add = |name, help, samples| file.add(Gauge, name, help, samples);
    let help = "Rows on disk.";
    add(name!("series_rows"), help, each(&|standing| Some(number(standing.rows))));
    let help = "Bytes of the Parquet files on disk.";
    add(name!("series_bytes"), help, each(&|standing| Some(number(standing.bytes))));
    let help = "Every second before this epoch is proved.";
    let watermark = each(&|standing| standing.watermark.map(seconds));
    add(name!("series_watermark_epoch_seconds"), help, watermark);
    let age = |standing: &Standing| Some(seconds(view.now) - seconds(standing.watermark?));
    let help = "Age of that epoch when this file was written.";
    add(name!("series_watermark_age_seconds"), help, each(&age));
    let by_class = |standing: &Standing| {
        let gaps = standing.gaps;
        [
            ("unexplained", gaps.unexplained),
            ("silent", gaps.silent),
            ("confirmed_by_source", gaps.confirmed_by_source),
            ("within_page", gaps.within_page),
            ("before_first_row", gaps.before_first_row),
            ("market_closed", gaps.market_closed),
        ]
    };
    add(name!("series_gaps"), "Gaps on disk, by class.", split(view, "class", by_class));
    let by_severity = |standing: &Standing| {
        let findings = standing.findings;
        [("error", findings.error), ("warning", findings.warning), ("info", findings.info)]
    };
    let help = "Published prices for which the source names others that nobody took.";
    add(
        name!("open_restatements"),
        help,
        each(&|standing| Some(number(standing.open_restatements))),
    );
    let help = "Findings in the sidecars, by what they mean now.";
    add(name!("series_findings"), help, split(view, "severity", by_severity));
    let up_to_date = match view.ended.filter(|ended| !ended.up_to_date.is_empty()) {
        None => view.carried.get(UP_TO_DATE),
        Some(ended) => {
            let one = |(series, is_so): (&Series, &bool)| Sample {
                labels: series_labels(series),
                value: f64::from(u8::from(*is_so)),
            };
            ended.up_to_date.iter().map(one).collect()
        }
    };
    let help = "Whether the run that ended last left nothing wanted missing or broken.";
    add(UP_TO_DATE, help, up_to_date);
}

fn split<const N: usize>(
    view: &View<'_>,
    label: &str,
    parts: impl Fn(&Standing) -> [(&'static str, u64); N],
) -> Vec<Sample> {
    let mut samples = Vec::new();
    for standing in view.standings {
        for (word, n) in parts(standing) {
            let mut labels = standing_labels(standing);
            labels.push((label.to_owned(), word.to_owned()));
            samples.push(Sample { labels, value: number(n) });
        }
    }
    samples
}

#[cfg(test)]
mod tests;
