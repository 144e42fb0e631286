//! What a person sees: the real binary on a pseudo-terminal, its screen read by a terminal emulator.
#![cfg(unix)]

mod closed;
mod tty;

use crate::cli::{TWENTY_DAYS, TWO_DAYS, candles};
use crate::process::{Sandbox, Server};
use tty::Tty;

/// The lines of the display on a screen.
fn display(lines: &[String]) -> Vec<String> {
    let is_ours = |line: &&String| {
        let series = line.starts_with("R_100 ") && line.contains('%');
        let total = line.starts_with("total ") || line.contains("% , ") || line.contains("%, ");
        series || total || line.starts_with("waiting")
    };
    lines.iter().filter(is_ours).cloned().collect()
}

fn has(lines: &[String], parts: &[&str]) -> bool {
    lines.iter().any(|line| parts.iter().all(|part| line.contains(part)))
}

/// Ticks and candles.
fn both<'a>(url: &'a str, [start, end]: [&'a str; 2]) -> Vec<&'a str> {
    let what = ["--symbol", "R_100", "--start-date", start, "--end-date", end];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited"];
    [what.as_slice(), &place, &["--concurrency", "2"]].concat()
}

#[test]
fn a_line_for_each_series_and_a_total_at_every_width() {
    let server = Server::start(&["--latency", "180ms"]);
    let sandbox = Sandbox::new();
    // Many more days than anybody watches: on a busy machine a short run ended before its display
    // had taken every width.
    let mut tty = Tty::start(&sandbox, &both(&server.url, ["2026-03-01", "2026-03-10"]), &[], 110);
    tty.until("both series and the time left", |lines| {
        has(lines, &["R_100 ticks ", "[", "%", "2026-03", "rows", "left"])
            && has(lines, &["R_100 candles 60s ", "%", "2026-03"])
            || has(lines, &["total", "rows", "requests", "/min", "rows/s", "about", "left"])
    });
    tty.until("the time left", |lines| {
        has(lines, &["total", "rows", "requests", "/min", "rows/s", "about", "left"])
    });
    let wide = display(&tty.lines());
    assert!(wide.iter().all(|line| line.len() < 110), "{wide:#?}");

    // Narrower and wider again, while it runs: each line once, none broken, nothing left over.
    for (width, kept) in [(60, "2026-03"), (40, " rows"), (120, "requests left")] {
        tty.resize(width);
        tty.until("it fits the new width", |lines| {
            let shown = display(lines);
            let ticks = shown.iter().filter(|line| line.starts_with("R_100 ticks")).count();
            let totals = shown.iter().filter(|line| line.contains("/min")).count();
            let fit = shown.iter().all(|line| line.len() < usize::from(width));
            (ticks, totals, fit) == (1, 1, true) && has(&shown, &["R_100 ticks", kept])
        });
    }
    tty.signal("INT");
    let ended = tty.end();
    assert_eq!(ended.code, Some(130), "{}", ended.text());
    assert!(ended.text().contains("stopping: everything answered is kept"), "{}", ended.text());
    assert_eq!(display(&ended.lines), Vec::<String>::new(), "something is left over");
    assert!(!ended.is_cursor_hidden && ended.cursor_column == 0, "{}", ended.text());
}

#[test]
fn a_pause_is_named_and_counted_down() {
    let server = Server::start(&["--fault", "rate_limit=0.15", "--latency", "20ms"]);
    let sandbox = Sandbox::new();
    let pause = ["--ratelimit-pause", "4s", "--concurrency", "1"];
    let arguments = [candles(&server.url, TWENTY_DAYS).as_slice(), &pause].concat();
    let mut tty = Tty::start(&sandbox, &arguments, &[], 80);
    let seconds = |lines: &[String]| -> Option<u64> {
        let line = lines.iter().find(|line| line.starts_with("waiting"))?;
        assert!(line.ends_with("s: the source refused a request as too frequent"), "{line}");
        line.strip_prefix("waiting ")?.split('s').next()?.parse().ok()
    };
    tty.until("a pause", |lines| seconds(lines).is_some());
    let first = seconds(&tty.lines()).unwrap_or(5);
    tty.until("it is counted down", |lines| seconds(lines).is_some_and(|now| now < first));
    tty.until("it is over", |lines| seconds(lines).is_none());
    tty.signal("TERM");
    assert_eq!(tty.end().code, Some(143));
}

#[test]
fn a_source_that_is_away_is_named_and_no_time_is_promised() {
    let server = Server::start(&["--latency", "60ms", "--fault", "outage=1+600"]);
    let sandbox = Sandbox::new();
    let patience = ["--breaker-cooldown", "20s", "--retries", "2", "--concurrency", "1"];
    let arguments = [candles(&server.url, TWENTY_DAYS).as_slice(), &patience].concat();
    let mut tty = Tty::start(&sandbox, &arguments, &[], 100);
    tty.until("the breaker is open", |lines| {
        has(lines, &["waiting ", "s: the source does not answer, then it is tried again"])
    });
    let shown = display(&tty.lines());
    assert!(!has(&shown, &["total", "about"]), "{shown:#?}");
    tty.signal("INT");
    assert_eq!(tty.end().code, Some(130));
}

#[test]
fn at_the_end_only_the_result_is_left() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let ended = Tty::start(&sandbox, &both(&server.url, TWO_DAYS), &[], 100).end();
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    assert_eq!(display(&ended.lines), Vec::<String>::new());
    let text = ended.text();
    for part in ["R_100 ticks 2026-03: published", "R_100 ticks: ", "months", "new", "requests"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(!ended.raw.contains("\u{1b}[?25l"), "the cursor was hidden");
}

#[test]
fn who_wants_no_display_gets_none() {
    let server = Server::start(&[]);
    let no_steering = |variables: &[(&str, &str)], options: &[&str]| {
        let sandbox = Sandbox::new();
        let arguments = [both(&server.url, TWO_DAYS).as_slice(), options].concat();
        let ended = Tty::start(&sandbox, &arguments, variables, 80).end();
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let text = ended.raw.replace("\r\n", "\n");
        assert!(!text.contains(['\r', '\u{1b}']), "{variables:?} {options:?} {text:?}");
        text
    };
    assert!(no_steering(&[("TERM", "dumb")], &[]).contains("partitions wanted"));
    let text = no_steering(&[], &["--no-progress"]);
    assert!(text.contains("rows") && !text.contains("wanted"), "{text}");
    let begins = "`data` holds no archive: a new one begins there\n";
    assert_eq!(no_steering(&[], &["--quiet"]), begins);

    let sandbox = Sandbox::new();
    let ended = Tty::start(&sandbox, &both(&server.url, TWO_DAYS), &[("NO_COLOR", "1")], 80).end();
    let is_colour = |part: &str| {
        part.split(|c: char| c.is_ascii_alphabetic())
            .next()
            .is_some_and(|digits| part[digits.len()..].starts_with('m') && digits.starts_with('['))
    };
    assert!(!ended.raw.split('\u{1b}').skip(1).any(is_colour), "{:?}", ended.raw);
}

/// A cron job: no terminal, nothing to read, no `TERM`.
#[test]
fn without_a_terminal_there_are_plain_lines() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&both(&server.url, TWO_DAYS)).expect(0);
    let both = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!both.contains(['\r', '\u{1b}']), "{both:?}");
    let said = ["2 partitions wanted", "R_100 ticks 2026-03: started", "2026-03: published"];
    for part in said {
        assert!(ran.stderr.contains(part), "no `{part}` in\n{}", ran.stderr);
    }
    assert!(ran.stderr.lines().count() <= 6, "{}", ran.stderr);
}
