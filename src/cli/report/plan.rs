//! The plan of a dry run as text.

use std::io::{self, Write};
use std::time::Duration;

use crate::domain::Series;
use crate::download::{Plan, PlannedPartition};

use super::super::settings::Rate;
use super::summary::state_word;
use super::text::{Align, Table, counted, size, span, thousands};
use super::{Walls, by_series, write_not_offered};

/// Writes what would be done.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, plan: &Plan, rate: Rate) -> io::Result<()> {
    let mut table = Table::new(&[
        ("series", Align::Left),
        ("month", Align::Left),
        ("on disk", Align::Left),
        ("rows", Align::Right),
        ("to do", Align::Left),
        ("requests", Align::Right),
        ("new rows", Align::Right),
    ]);
    for partition in plan.partitions.iter().filter(|p| !p.is_beyond_wall()) {
        table.push(row(partition));
    }
    if !table.is_empty() {
        for line in table.lines() {
            writeln!(out, "{line}")?;
        }
    }
    let beyond = plan.partitions.iter().filter(|p| p.is_beyond_wall());
    let not_offered = by_series(beyond.map(|p| (&p.key.series, p.key.month)));
    write_not_offered(out, &not_offered, &walls(plan))?;
    writeln!(out, "\n{}", totals(plan, rate))?;
    match plan.free_bytes.filter(|_| plan.n_bytes > 0) {
        Some(free) => writeln!(
            out,
            "at most about {} on disk at once, {} are free",
            size(plan.n_bytes),
            size(free)
        ),
        None => Ok(()),
    }
}

fn row(partition: &PlannedPartition) -> Vec<String> {
    let to_do = match (partition.missing.is_empty(), partition.not_offered) {
        _ if partition.is_locked => "nothing, locked".to_owned(),
        (true, _) if !partition.kept.is_empty() => {
            "nothing, kept as another tool left it".to_owned()
        }
        (true, None) => "nothing, proved".to_owned(),
        (true, Some(_)) => "nothing, the rest is not offered".to_owned(),
        (false, _) if !partition.again.is_empty() => {
            let news = partition.missing.len_secs() - partition.again.len_secs();
            let again = format!("ask {} again", days(partition.again.len_secs()));
            if news == 0 { again } else { format!("{again} and {} more", days(news)) }
        }
        (false, _) if partition.state.is_some() => {
            format!("ask {}", days(partition.missing.len_secs()))
        }
        (false, _) => "ask".to_owned(),
    };
    vec![
        partition.key.series.to_string(),
        partition.key.month.to_string(),
        partition.state.map_or("-", state_word).to_owned(),
        thousands(partition.record_count),
        to_do,
        thousands(partition.n_requests),
        thousands(partition.n_rows),
    ]
}

fn days(secs: i64) -> String {
    span(Duration::from_secs(secs.unsigned_abs()))
}

/// Where the history of each series begins, as far as the plan knows.
pub fn walls(plan: &Plan) -> Walls {
    let mut walls = Walls::new();
    for partition in &plan.partitions {
        if let Some(beyond) = partition.not_offered {
            let series: Series = partition.key.series.clone();
            let wall = walls.entry(series).or_insert(beyond.end());
            *wall = (*wall).max(beyond.end());
        }
    }
    // A month wholly beyond the wall says only that history begins later, not when.
    walls.retain(|series, wall| {
        plan.partitions
            .iter()
            .any(|p| p.key.series == *series && p.wanted.start() <= *wall && *wall < p.wanted.end())
    });
    walls
}

/// How long the requests take at the rate; `None` if nothing bounds them.
pub fn time_needed(n_requests: u64, rate: Rate) -> Option<Duration> {
    match rate {
        Rate::PerMinute(rate) => {
            Some(Duration::from_secs_f64(n_requests as f64 * 60.0 / f64::from(rate)))
        }
        Rate::Unlimited => None,
    }
}

fn totals(plan: &Plan, rate: Rate) -> String {
    let requests = plan.n_requests();
    if requests == 0 {
        return "nothing to ask; nothing was written".to_owned();
    }
    let time = match (time_needed(requests, rate), rate) {
        (Some(time), Rate::PerMinute(rate)) => format!(", about {} at {rate} a minute", span(time)),
        _ => String::new(),
    };
    format!(
        "about {} for {}{time}; nothing was written",
        counted(requests, "request"),
        counted(plan.n_rows(), "row"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_plan() {
        let mut out = Vec::new();
        write(&mut out, &samples::plan(), Rate::PerMinute(200)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn the_time_follows_from_the_rate() {
        assert_eq!(time_needed(1_340, Rate::PerMinute(200)), Some(Duration::from_secs(402)));
        assert_eq!(time_needed(1_340, Rate::Unlimited), None);
    }
}
