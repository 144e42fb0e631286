//! The plan of a dry run as text: for each series the months that are proved, to be asked, and not
//! offered, then what all of it costs. Months in which the same is to be done share a line; `--json`
//! has each by itself.

use std::io::{self, Write};
use std::time::Duration;

use crate::domain::{Month, PartitionState, Series};
use crate::download::{Plan, PlannedPartition};
use crate::resilience::PaceOutlook;

use super::super::exit::ExitCode;
use super::super::progress::estimate::time_to_ask;
use super::super::progress::lines::about;
use super::super::settings::Rate;
use super::summary::state_word;
use super::text::{Align, Table, counted, months, size, span, thousands, wrapped};
use super::{Walls, date_or_time};

/// What is known of a dry run beside its plan.
#[derive(Debug, Clone)]
pub struct PlanFacts {
    /// Names the run.
    pub session: String,
    /// How the process ends, which is how a real run would at its start.
    pub exit: ExitCode,
    /// The ceiling.
    pub rate: Rate,
    /// The pace as it was learned; `None` if it is not known.
    pub pace: Option<PaceOutlook>,
    /// Series that another run holds now, with who does.
    pub held: Vec<(Series, String)>,
}

impl PlanFacts {
    /// How long so many requests take; `None` if nothing bounds them.
    pub fn time_needed(&self, n_requests: u64) -> Option<Duration> {
        let Rate::PerMinute(rate) = self.rate else { return None };
        let rate = f64::from(rate);
        let ceiling =
            PaceOutlook { per_minute: rate, aim_per_minute: rate, aim_in: Duration::ZERO };
        Some(time_to_ask(n_requests as f64, self.pace.unwrap_or(ceiling)))
    }
}

/// How a partition stands before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The source no longer has it.
    NotOffered,
    /// Never modified.
    Locked,
    /// Behind the wall, from another tool.
    Kept,
    /// Every second on offer is settled.
    Proved,
    /// Something is asked.
    ToAsk,
}

impl Standing {
    pub(super) fn of(partition: &PlannedPartition) -> Self {
        match partition.missing.is_empty() {
            _ if partition.is_locked => Self::Locked,
            _ if partition.is_beyond_wall() => Self::NotOffered,
            false => Self::ToAsk,
            true if !partition.kept.is_empty() => Self::Kept,
            true => Self::Proved,
        }
    }

    /// The word of `--json`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NotOffered => "not_offered",
            Self::Locked => "locked",
            Self::Kept => "kept",
            Self::Proved => "proved",
            Self::ToAsk => "to_ask",
        }
    }
}

/// Writes what would be done, no wider than `width` if it can be helped.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, plan: &Plan, facts: &PlanFacts, width: usize) -> io::Result<()> {
    let mut table = Table::new(&[
        ("months", Align::Left),
        ("on disk", Align::Left),
        ("rows", Align::Right),
        ("plan", Align::Left),
        ("requests", Align::Right),
        ("new rows", Align::Right),
        ("time", Align::Right),
    ]);
    let walls = walls(plan);
    let mut series = None;
    let groups = groups(&plan.partitions);
    for group in &groups {
        if series != Some(&group.series) {
            series = Some(&group.series);
            table.heading(heading(&group.series, &walls));
        }
        table.push(group.row(facts));
    }
    table.leave_out_if_empty("time");
    table.fit(width, &["time", "on disk", "new rows", "rows"]);
    for line in table.lines() {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\n{}", wrapped(&standings(plan), width))?;
    writeln!(out, "{}", wrapped(&totals(plan, facts), width))?;
    if let Some(free) = plan.free_bytes.filter(|_| plan.n_bytes > 0) {
        let (most, free) = (size(plan.n_bytes), size(free));
        writeln!(out, "at most about {most} on disk at once, {free} are free")?;
    }
    for notice in &plan.notices {
        writeln!(out, "{}", super::escaped(&notice.to_string()))?;
    }
    writeln!(out, "nothing was written")
}

fn heading(series: &Series, walls: &Walls) -> String {
    match walls.get(series) {
        Some(wall) => format!("{series}: history begins {}", date_or_time(*wall)),
        None => series.to_string(),
    }
}

/// Months of a series, one after the other, in which the same is to be done.
struct Group<'a> {
    series: Series,
    first: Month,
    last: Month,
    alike: Alike,
    partitions: Vec<&'a PlannedPartition>,
}

/// What months on one line have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Alike {
    standing: Standing,
    state: Option<PartitionState>,
    is_asked_again: bool,
    is_partly_offered: bool,
}

impl Alike {
    fn of(partition: &PlannedPartition) -> Self {
        let standing = Standing::of(partition);
        Self {
            standing,
            state: partition.state,
            is_asked_again: !partition.again.is_empty(),
            is_partly_offered: standing != Standing::NotOffered && partition.not_offered.is_some(),
        }
    }
}

fn groups(partitions: &[PlannedPartition]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for partition in partitions {
        let (key, alike) = (&partition.key, Alike::of(partition));
        match groups.last_mut() {
            Some(group)
                if group.series == key.series
                    && group.alike == alike
                    && group.last.range().end() == key.month.range().start() =>
            {
                group.last = key.month;
                group.partitions.push(partition);
            }
            _ => groups.push(Group {
                series: key.series.clone(),
                first: key.month,
                last: key.month,
                alike,
                partitions: vec![partition],
            }),
        }
    }
    groups
}

impl Group<'_> {
    fn row(&self, facts: &PlanFacts) -> Vec<String> {
        let sum = |count: fn(&PlannedPartition) -> u64| -> u64 {
            self.partitions.iter().map(|partition| count(partition)).sum()
        };
        let dash = |text: String, n: u64| if n == 0 { "-".to_owned() } else { text };
        let (rows, n) = (sum(|p| p.record_count), sum(|p| p.n_requests));
        let new = sum(|p| p.n_rows);
        let time = facts.time_needed(n).map_or_else(|| "-".to_owned(), about);
        vec![
            months(self.first, self.last),
            self.alike.state.map_or("-", state_word).to_owned(),
            dash(thousands(rows), rows),
            self.plan(),
            dash(thousands(n), n),
            dash(thousands(new), new),
            dash(time, n),
        ]
    }

    fn plan(&self) -> String {
        let secs = |count: fn(&PlannedPartition) -> i64| -> String {
            let secs: i64 = self.partitions.iter().map(|partition| count(partition)).sum();
            span(Duration::from_secs(secs.unsigned_abs()))
        };
        match self.alike.standing {
            Standing::NotOffered => "not offered".to_owned(),
            Standing::Locked => "locked, left alone".to_owned(),
            Standing::Kept => "kept from another tool".to_owned(),
            Standing::Proved if self.alike.is_partly_offered => {
                "proved as far as offered".to_owned()
            }
            Standing::Proved => "proved".to_owned(),
            Standing::ToAsk if self.alike.is_asked_again => {
                format!("compare {}", secs(|p| p.missing.len_secs()))
            }
            Standing::ToAsk if self.alike.state.is_some() => {
                format!("to ask: {}", secs(|p| p.missing.len_secs()))
            }
            Standing::ToAsk => "to ask".to_owned(),
        }
    }
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
    for (series, begins) in &plan.begins {
        walls.insert(series.clone(), *begins);
    }
    // A month wholly beyond the wall says only that history begins later, not when.
    walls.retain(|series, wall| {
        plan.partitions
            .iter()
            .any(|p| p.key.series == *series && p.wanted.start() <= *wall && *wall < p.wanted.end())
    });
    walls
}

/// How many months stand how.
fn standings(plan: &Plan) -> Vec<String> {
    let n =
        |standing| plan.partitions.iter().filter(|p| Standing::of(p) == standing).count() as u64;
    let all = counted(plan.partitions.len() as u64, "month");
    let parts = [
        (Standing::Proved, "proved"),
        (Standing::ToAsk, "to ask"),
        (Standing::NotOffered, "not offered"),
        (Standing::Kept, "kept from another tool"),
        (Standing::Locked, "locked"),
    ];
    let words = parts.into_iter().filter(|(standing, _)| n(*standing) > 0);
    let mut words: Vec<_> =
        words.map(|(standing, word)| format!("{} {word}", thousands(n(standing)))).collect();
    if let Some(first) = words.first_mut() {
        *first = format!("{all}: {first}");
    }
    words
}

fn totals(plan: &Plan, facts: &PlanFacts) -> Vec<String> {
    let requests = plan.n_requests();
    if requests == 0 {
        return vec!["nothing to ask".to_owned()];
    }
    let (requests_text, rows) = (counted(requests, "request"), counted(plan.n_rows(), "row"));
    let mut parts = vec![format!("about {requests_text} for {rows}")];
    if let (Some(time), Rate::PerMinute(ceiling)) = (facts.time_needed(requests), facts.rate) {
        parts.push(format!("about {} {}", about(time), pace_words(ceiling, facts.pace)));
    }
    parts
}

/// `at 200 a minute`, or how the pace gets there.
fn pace_words(ceiling: u32, pace: Option<PaceOutlook>) -> String {
    let Some(pace) = pace else { return format!("at {ceiling} a minute") };
    let (now, aim) = (pace.per_minute.round(), pace.aim_per_minute.round());
    // What keeps below the ceiling in every window is a little less than it.
    let is_lower = aim < f64::from(ceiling) * 0.97;
    let learned = if is_lower { ", as was learned" } else { "" };
    if (now - aim).abs() < 1.0 {
        format!("at {aim} a minute{learned}")
    } else {
        format!("at {now} a minute and soon {aim}{learned}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn written(plan: &Plan, facts: &PlanFacts, width: usize) -> String {
        let mut out = Vec::new();
        write(&mut out, plan, facts, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plan() {
        insta::assert_snapshot!(written(&samples::plan(), &samples::plan_facts(), 100));
    }

    #[test]
    fn two_years_of_three_series_fit_on_a_screen() {
        let text = written(&samples::long_plan(), &samples::plan_facts(), 100);
        assert!(text.lines().count() <= 30, "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_narrow_one_keeps_what_is_planned() {
        let text = written(&samples::long_plan(), &samples::plan_facts(), 60);
        assert!(text.lines().all(|line| line.len() <= 60), "{text}");
        assert!(text.contains("to ask: 2h 00m"), "{text}");
    }

    #[test]
    fn the_time_follows_from_the_pace() {
        let facts = samples::plan_facts();
        assert_eq!(facts.time_needed(1_340), Some(Duration::from_secs(402)));
        let pace = PaceOutlook { per_minute: 100.0, aim_per_minute: 100.0, aim_in: Duration::ZERO };
        let learned = PlanFacts { pace: Some(pace), ..facts.clone() };
        assert_eq!(learned.time_needed(1_340), Some(Duration::from_secs(804)));
        let text = written(&samples::plan(), &learned, 100);
        assert!(text.contains("about 13m at 100 a minute, as was learned"), "{text}");
        let unlimited = PlanFacts { rate: Rate::Unlimited, ..facts };
        assert_eq!(unlimited.time_needed(1_340), None);
    }
}
