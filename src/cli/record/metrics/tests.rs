use std::collections::BTreeSet;

use crate::cli::report::samples;
use crate::domain::Granularity;
use crate::format::{MonthSeen, SidecarSeen};

use super::*;

mod strict;

use strict::{Metric, parse};

fn standing(symbol: &str) -> Standing {
    let series = samples::series(Kind::Ticks);
    let month = "2026-03".parse().unwrap();
    let seen = MonthSeen { month, sidecar: SidecarSeen::Missing, file_size: Some(7) };
    let mut standing = Standing::of(&series, &[seen]);
    standing.symbol = symbol.to_owned();
    standing.watermark = Some(Epoch::new(1_000));
    standing
}

struct Case {
    series: BTreeMap<Series, SeriesCounts>,
    standings: Vec<Standing>,
    carried: Carried,
    ended: Option<Ended>,
}

impl Case {
    fn new() -> Self {
        let counts = SeriesCounts { rows_received: 9, rows_new: 5, bytes: 77, published: 1 };
        Self {
            series: BTreeMap::from([(samples::series(Kind::Ticks), counts)]),
            standings: vec![standing("R_100")],
            carried: Carried::default(),
            ended: None,
        }
    }

    fn ended(mut self, exit: ExitCode, at: i64) -> Self {
        let candles = samples::series(Kind::Candles(Granularity::MINUTE));
        let up_to_date = BTreeMap::from([
            (samples::series(Kind::Ticks), true),
            (candles, exit == ExitCode::Success),
        ]);
        self.ended = Some(Ended { exit, at: Epoch::new(at), up_to_date });
        self
    }

    fn text(&self) -> String {
        render(&View {
            version: "1.2\"3\\",
            now: Epoch::new(1_060),
            started: Epoch::new(1_050),
            elapsed: Duration::from_millis(2_500),
            ended: self.ended.as_ref(),
            asked: Asked::default(),
            thrown_away: DefectCounts::default(),
            series: &self.series,
            standings: &self.standings,
            carried: &self.carried,
        })
    }
}

fn metric<'a>(metrics: &'a BTreeMap<String, Metric>, name: &str) -> &'a Metric {
    &metrics[&format!("titan_download_{name}")]
}

#[test]
fn a_reader_takes_the_file_at_any_time() {
    let metrics = parse(&Case::new().text());
    let value = |name, labels: &[(&str, &str)]| metric(&metrics, name).value(labels);
    assert_eq!(value("run_active", &[]), 1.0);
    assert_eq!(value("run_duration_seconds", &[]), 2.5);
    assert_eq!(value("build_info", &[("version", "1.2\"3\\")]), 1.0);
    assert_eq!(value("rows_new_total", &[("symbol", "R_100"), ("kind", "ticks")]), 5.0);
    assert_eq!(value("written_bytes_total", &[("granularity", "")]), 77.0);
    assert_eq!(value("breaker_state", &[("state", "closed")]), 1.0);
    assert_eq!(value("breaker_state", &[("state", "open")]), 0.0);
    assert_eq!(value("retries_total", &[("cause", "transport")]), 0.0);
    assert_eq!(value("waiting_seconds_total", &[("cause", "pace")]), 0.0);
    assert_eq!(value("series_watermark_epoch_seconds", &[]), 1_000.0);
    assert_eq!(value("series_watermark_age_seconds", &[]), 60.0);
    assert_eq!(value("series_gaps", &[("class", "unexplained")]), 0.0);
    assert!(!metrics.contains_key(LAST_EXIT), "no run ended yet");
    let ended = parse(&Case::new().ended(ExitCode::Unavailable, 1_060).text());
    assert_eq!(metric(&ended, "last_exit_code").value(&[]), 69.0);
    assert_eq!(metric(&ended, "last_outcome").value(&[("outcome", "unavailable")]), 1.0);
    assert_eq!(metric(&ended, "last_outcome").values.values().sum::<f64>(), 1.0);
    assert_eq!(metric(&ended, "series_up_to_date").value(&[("kind", "ticks")]), 1.0);
    assert_eq!(metric(&ended, "series_up_to_date").value(&[("granularity", "60")]), 0.0);
}

#[test]
fn what_the_last_run_left_stays_until_another_ended() {
    let first = Case::new().ended(ExitCode::Success, 1_060).text();
    let working = Case { carried: Carried::from_file(&first), ..Case::new() };
    let metrics = parse(&working.text());
    assert_eq!(metric(&metrics, "last_exit_code").value(&[]), 0.0);
    assert_eq!(metric(&metrics, "last_success_time_seconds").value(&[]), 1_060.0);
    assert_eq!(metric(&metrics, "series_up_to_date").value(&[("kind", "candles")]), 1.0);
    // A run that failed changes all but the time of the last success.
    let failed = working.ended(ExitCode::Incomplete, 2_000);
    let metrics = parse(&failed.text());
    assert_eq!(metric(&metrics, "last_exit_code").value(&[]), 1.0);
    assert_eq!(metric(&metrics, "last_success_time_seconds").value(&[]), 1_060.0);
    assert_eq!(metric(&metrics, "last_end_time_seconds").value(&[]), 2_000.0);
    // One that came to nothing says nothing of the series.
    let mut nothing = failed;
    nothing.carried = Carried::from_file(&first);
    nothing.ended.as_mut().unwrap().up_to_date.clear();
    let metrics = parse(&nothing.text());
    assert_eq!(metric(&metrics, "series_up_to_date").value(&[("kind", "candles")]), 1.0);
}

#[test]
fn hostile_text_makes_no_bad_file() {
    let hostile = "R\"} 1\nx{y=\"\\\u{1b}[31m\r\u{202e}";
    let mut case = Case::new();
    // The same series twice, as only a foreign hand can have written it.
    case.standings = vec![standing(hostile), standing(hostile), standing("R_100")];
    let metrics = parse(&case.text());
    let symbols: BTreeSet<_> = metric(&metrics, "series_rows").values.keys().collect();
    assert_eq!(symbols.len(), 2);
    assert!(symbols.iter().any(|labels| labels["symbol"] == hostile), "{symbols:?}");

    let old = "titan_download_series_up_to_date{symbol=\"a\"} 1\n\
        titan_download_series_up_to_date{symbol=\"a\"} 0\n\
        titan_download_series_up_to_date{symbol=\"b\\\"\\n\"} 1\n\
        titan_download_series_up_to_date{symbol=\"c} 1\n\
        titan_download_series_up_to_date{symbol=\"d\",symbol=\"d\"} 1\n\
        titan_download_last_exit_code NaN\n\u{0}\n";
    let carried = Carried::from_file(old);
    let metrics = parse(&Case { carried, ..Case::new() }.text());
    assert_eq!(metric(&metrics, "series_up_to_date").values.len(), 2);
    assert!(!metrics.contains_key(LAST_EXIT));
}
