//! Where one second of one series comes from: its row or its silence, who answered for it and
//! when, and what of that contradicts itself.
//!
//! Reads sidecars, names, and of the Parquet files only the row groups that can hold the second,
//! the rows next to it and the rows of its day, whose hash is recomputed.

mod lookup;
mod remarks;

use std::path::Path;

use crate::domain::{
    CoverageState, Epoch, EpochRange, Finding, Gap, GapClass, Granularity, Kind, Month,
    PartitionKey, PartitionState, Series, Symbol,
};
use crate::format::{Footer, Layout, SidecarCoverage, Standing};

use super::survey::{MonthSurvey, Selection, SeriesSurvey, Staged, survey};
use lookup::{Look, Scope, day_of, look};

/// One row, of whichever kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When it is from; a candle is named by its open.
    pub epoch: Epoch,
    /// The quote, or open, high, low and close.
    pub prices: Vec<f64>,
}

/// Which second of what is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Of which symbol.
    pub symbol: Symbol,
    /// Of which kind; `None` takes ticks, or without ticks the finest candles on disk.
    pub kind: Option<Kind>,
    /// Which second.
    pub epoch: Epoch,
}

/// The series asked about is not in the archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the archive holds nothing of {wanted}")]
pub struct NotHeld {
    /// What was asked about.
    pub wanted: String,
    /// The series that are there.
    pub held: Vec<Series>,
}

/// What is to be said of a second, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is a row.
    Row,
    /// The source answered for it, and had nothing; no gap either.
    Silent,
    /// It lies in a gap of this class.
    Gap(GapClass),
    /// Every attempt to ask for it failed.
    Failed,
    /// The source did not offer it when it was asked.
    NotOffered,
    /// Nobody asked for it.
    NeverAsked,
    /// What the archive says of it cannot be believed.
    Unknown,
}

impl Verdict {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Silent => "silent",
            Self::Gap(_) => "gap",
            Self::Failed => "failed",
            Self::NotOffered => "not_offered",
            Self::NeverAsked => "never_asked",
            Self::Unknown => "unknown",
        }
    }
}

/// A row and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedRow {
    /// The row.
    pub row: Row,
    /// In which month's file.
    pub month: Month,
    /// In which of its row groups, from 0.
    pub row_group: usize,
}

/// The partition the second belongs to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Partition {
    /// The Parquet file, below the folder of the archive.
    pub path: String,
    /// Whether it is there.
    pub exists: bool,
    /// Its row groups.
    pub row_groups: usize,
    /// Its rows, by its sidecar.
    pub rows: Option<u64>,
    /// How far from never changing again.
    pub state: Option<PartitionState>,
    /// Whether it must not be modified.
    pub is_locked: bool,
    /// Whether another tool wrote it.
    pub is_foreign: bool,
    /// Rows of this UTC day, by the file itself.
    pub day_rows: u64,
    /// Whether the rows of the day hash to what the footer promises; `None` if it promises nothing.
    pub day_is_proved: Option<bool>,
}

/// The candle of one granularity that holds the second.
#[derive(Debug, Clone, PartialEq)]
pub struct CandleAround {
    /// Its width.
    pub granularity: Granularity,
    /// When it opened, or would have.
    pub open: Epoch,
    /// The candle, if it is on disk.
    pub row: Option<Row>,
}

/// Everything the archive says of one second.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Of which series.
    pub series: Series,
    /// The second that was asked about.
    pub epoch: Epoch,
    /// The epoch a row of it would have: itself, or the open of its candle.
    pub row_epoch: Epoch,
    /// In one word.
    pub verdict: Verdict,
    /// The row, if there is one.
    pub row: Option<PlacedRow>,
    /// The last row before, wherever it lies.
    pub before: Option<PlacedRow>,
    /// The first row after.
    pub after: Option<PlacedRow>,
    /// Seconds between nearly all rows of the day.
    pub cadence_secs: Option<i64>,
    /// The covered range it lies in.
    pub coverage: Option<SidecarCoverage>,
    /// The gap it lies in.
    pub gap: Option<Gap>,
    /// The file it belongs to.
    pub partition: Partition,
    /// How the series stands.
    pub standing: Standing,
    /// The candles on disk around it, by granularity; without the series itself.
    pub candles: Vec<CandleAround>,
    /// Findings of the sidecar that touch it.
    pub findings: Vec<Finding>,
    /// Findings of the sidecar that do not.
    pub n_other_findings: usize,
    /// Answers of its month that were not published yet.
    pub staged: Staged,
    /// Files of its month that were set aside, below the folder of the archive.
    pub quarantine: Vec<String>,
    /// What contradicts itself.
    pub contradictions: Vec<String>,
}

/// Explains one second. Reads only.
///
/// # Errors
///
/// If the archive holds nothing of the series.
pub fn explain(root: &Path, question: &Question) -> Result<Explanation, NotHeld> {
    let selection = Selection { symbols: vec![question.symbol.clone()], kinds: Vec::new() };
    let all = survey(root, &selection).series;
    let Some(found) = choose(&all, question) else {
        let wanted = match question.kind {
            Some(kind) => Series { symbol: question.symbol.clone(), kind }.to_string(),
            None => question.symbol.to_string(),
        };
        let held = survey(root, &Selection::default()).series;
        return Err(NotHeld { wanted, held: held.into_iter().map(|s| s.series).collect() });
    };
    let layout = Layout::new(root);
    Ok(Work::new(&layout, found, question.epoch).explain(&all))
}

/// The series asked about; without a kind, ticks before candles and fine before coarse.
fn choose<'a>(all: &'a [SeriesSurvey], question: &Question) -> Option<&'a SeriesSurvey> {
    match question.kind {
        Some(kind) => all.iter().find(|found| found.series.kind == kind),
        None => all.iter().min_by_key(|found| found.series.kind),
    }
}

struct Work<'a> {
    layout: &'a Layout,
    found: &'a SeriesSurvey,
    epoch: Epoch,
    row_epoch: Epoch,
    month: Option<Month>,
    partition: Option<&'a MonthSurvey>,
    contradictions: Vec<String>,
}

impl<'a> Work<'a> {
    fn new(layout: &'a Layout, found: &'a SeriesSurvey, epoch: Epoch) -> Self {
        let row_epoch = row_epoch(found.series.kind, epoch);
        let month = Month::containing(epoch);
        let partition = found.months.iter().find(|partition| Some(partition.month) == month);
        Self { layout, found, epoch, row_epoch, month, partition, contradictions: Vec::new() }
    }

    fn explain(mut self, all: &[SeriesSurvey]) -> Explanation {
        let problem = self.partition.and_then(|partition| partition.problem.clone());
        self.contradictions.extend(problem);
        let look = self.look_here();
        let footer = look.as_ref().and_then(|look| look.footer.as_ref().ok()).cloned();
        let place = |found: Option<(Row, usize)>, month: Option<Month>| {
            let ((row, row_group), month) = (found?, month?);
            Some(PlacedRow { row, month, row_group })
        };
        let (mut row, mut before, mut after) = (None, None, None);
        let mut partition = self.describe(look.as_ref());
        let mut cadence_secs = self.found.series.kind.granularity().map(Granularity::secs);
        if let Some(look) = look {
            self.contradictions.extend(look.contradictions);
            partition.row_groups = look.n_groups;
            row = place(look.at, self.month);
            before = place(look.before, self.month);
            after = place(look.after, self.month);
            cadence_secs = cadence_secs.or(look.cadence_secs);
        }
        let before = before.or_else(|| self.last_before());
        let after = after.or_else(|| self.first_after());
        let coverage = self.coverage(footer.as_ref());
        let gap = self.gap();
        let verdict = self.judge(row.is_some(), coverage.as_ref(), gap.as_ref());
        let (findings, n_other_findings) = self.findings();
        Explanation {
            series: self.found.series.clone(),
            epoch: self.epoch,
            row_epoch: self.row_epoch,
            verdict,
            row,
            before,
            after,
            cadence_secs,
            coverage,
            gap,
            partition,
            standing: self.found.standing.clone(),
            candles: self.candles(all),
            findings,
            n_other_findings,
            staged: self.key().map(|key| Staged::of_month(self.layout, &key)).unwrap_or_default(),
            quarantine: self
                .key()
                .map_or_else(Vec::new, |key| remarks::quarantined(self.layout, &key)),
            contradictions: self.contradictions,
        }
    }

    fn key(&self) -> Option<PartitionKey> {
        Some(PartitionKey { series: self.found.series.clone(), month: self.month? })
    }

    fn look_here(&mut self) -> Option<Look> {
        let key = self.key().filter(|_| self.partition.is_some_and(|p| p.file_size.is_some()))?;
        let path = self.layout.parquet(&key);
        match look(&path, key.series.kind, self.row_epoch, Scope::Day) {
            Ok(look) => Some(look),
            Err(error) => {
                self.contradictions.push(format!("its Parquet file is unusable: {error}"));
                None
            }
        }
    }

    fn describe(&mut self, look: Option<&Look>) -> Partition {
        let Some(key) = self.key() else { return Partition::default() };
        let path = self.layout.parquet(&key);
        let path = path.strip_prefix(self.layout.root()).unwrap_or(&path).display().to_string();
        let mut described = Partition { path, ..Partition::default() };
        let Some(partition) = self.partition else { return described };
        described.exists = partition.file_size.is_some();
        if let Some(sidecar) = &partition.sidecar {
            described.rows = Some(sidecar.record_count);
            described.state = sidecar.state;
            described.is_locked = sidecar.locked;
            described.is_foreign = sidecar.is_foreign();
        }
        let Some(look) = look else { return described };
        described.day_rows = look.day_rows;
        match &look.footer {
            Ok(footer) => {
                described.day_is_proved = Some(self.compare(&key, footer, look));
            }
            Err(_) if described.is_foreign => {}
            Err(error) => self.contradictions.push(error.to_string()),
        }
        described
    }

    /// Holds the footer against the place of the file, the rows of the day and the sidecar.
    fn compare(&mut self, key: &PartitionKey, footer: &Footer, look: &Look) -> bool {
        if footer.key != *key {
            self.contradictions.push(format!("the file is that of {} by its footer", footer.key));
        }
        let date = day_of(self.row_epoch).start().to_utc().map(|utc| utc.date_naive().to_string());
        let said = footer.days.iter().find(|day| Some(&day.date) == date.as_ref());
        let is_proved = match said {
            Some(day) => day.rows == look.day_rows && day.rows_sha256 == look.day_sha256,
            None => look.day_rows == 0,
        };
        if !is_proved {
            let n_said = said.map_or(0, |day| day.rows);
            self.contradictions.push(format!(
                "the {} rows of the day are not the {n_said} that the footer promises",
                look.day_rows
            ));
        }
        if let Some(sidecar) = self.partition.and_then(|partition| partition.sidecar.as_ref()) {
            let differs = sidecar.record_count != footer.record_count
                || sidecar.rows_sha256.as_ref().is_some_and(|said| *said != footer.rows_sha256);
            if differs {
                self.contradictions.push("sidecar and footer promise different rows".to_owned());
            }
            if !sidecar.is_foreign() && sidecar.coverage() != footer.coverage {
                self.contradictions.push("sidecar and footer have different coverage".to_owned());
            }
        }
        is_proved
    }

    /// By the sidecar, which knows when it was asked; by the footer where no sidecar is believed.
    fn coverage(&self, footer: Option<&Footer>) -> Option<SidecarCoverage> {
        let partition = self.partition?;
        let holds = |start: Epoch, end: Epoch| start <= self.epoch && self.epoch < end;
        if let Some(sidecar) = &partition.sidecar {
            return sidecar.coverage.iter().find(|c| holds(c.start, c.end)).copied();
        }
        let ranges = footer?.coverage.ranges();
        let covered = ranges.iter().find(|c| holds(c.start, c.end))?;
        let (start, end, state) = (covered.start, covered.end, covered.state);
        Some(SidecarCoverage { start, end, state, asked_first: None, asked_last: None })
    }

    fn gap(&self) -> Option<Gap> {
        let gaps = self.partition?.gaps();
        gaps.iter().find(|gap| gap.start <= self.row_epoch && self.row_epoch < gap.end).copied()
    }

    fn judge(
        &mut self,
        has_row: bool,
        coverage: Option<&SidecarCoverage>,
        gap: Option<&Gap>,
    ) -> Verdict {
        let state = coverage.map(|covered| covered.state);
        let is_proved = matches!(state, Some(CoverageState::Answered | CoverageState::Inherited));
        if has_row {
            let is_foreign =
                self.partition.and_then(|p| p.sidecar.as_ref()).is_some_and(|s| s.is_foreign());
            // An open candle is covered by the seconds up to its end, so its open is as well.
            if !is_proved && !is_foreign && self.covers_row(coverage) {
                let found = state.map_or("never asked", state_words);
                self.contradictions
                    .push(format!("there is a row where the coverage says `{found}`"));
            }
            if let Some(gap) = gap {
                let (start, end) = (gap.start, gap.end);
                self.contradictions.push(format!("there is a row inside the gap {start} to {end}"));
            }
            return Verdict::Row;
        }
        let cannot_say =
            self.partition.is_some_and(|p| p.file_size.is_none() || p.problem.is_some());
        match (gap, state) {
            _ if cannot_say => Verdict::Unknown,
            (_, Some(CoverageState::Failed)) => Verdict::Failed,
            (_, Some(CoverageState::NotOffered)) => Verdict::NotOffered,
            (Some(gap), _) => Verdict::Gap(gap.class),
            (None, Some(CoverageState::Answered | CoverageState::Inherited)) => Verdict::Silent,
            (None, None) => Verdict::NeverAsked,
        }
    }

    /// Whether coverage of the second asked about speaks of the row: a second inside a candle may
    /// be covered otherwise than the open, by which the candle is named.
    fn covers_row(&self, coverage: Option<&SidecarCoverage>) -> bool {
        match coverage {
            Some(covered) => covered.start <= self.row_epoch,
            None => self.row_epoch == self.epoch,
        }
    }

    /// The last row of the months before, read from the newest that has one.
    fn last_before(&self) -> Option<PlacedRow> {
        let month = self.month?;
        let earlier = self.found.months.iter().rev().filter(|p| p.month < month);
        earlier.filter(|p| p.file_size.is_some()).find_map(|p| {
            let (row, row_group) = self.nearest(p.month)?.before?;
            Some(PlacedRow { row, month: p.month, row_group })
        })
    }

    fn first_after(&self) -> Option<PlacedRow> {
        let month = self.month?;
        let later = self.found.months.iter().filter(|p| p.month > month);
        later.filter(|p| p.file_size.is_some()).find_map(|p| {
            let (row, row_group) = self.nearest(p.month)?.after?;
            Some(PlacedRow { row, month: p.month, row_group })
        })
    }

    /// A neighbour that cannot be read is none; its own month says why.
    fn nearest(&self, month: Month) -> Option<Look> {
        let key = PartitionKey { series: self.found.series.clone(), month };
        look(&self.layout.parquet(&key), key.series.kind, self.row_epoch, Scope::Nearest).ok()
    }

    fn candles(&self, all: &[SeriesSurvey]) -> Vec<CandleAround> {
        let others = all.iter().filter(|other| other.series.kind != self.found.series.kind);
        let around = |other: &SeriesSurvey| {
            let granularity = other.series.kind.granularity()?;
            let open = row_epoch(other.series.kind, self.epoch);
            // Every width divides the day, so a candle lies in one month.
            let key = PartitionKey { series: other.series.clone(), month: self.month? };
            let look = look(&self.layout.parquet(&key), key.series.kind, open, Scope::Nearest);
            let row = look.ok().and_then(|look| look.at).map(|(row, _)| row);
            Some(CandleAround { granularity, open, row })
        };
        others.filter_map(around).collect()
    }

    fn findings(&self) -> (Vec<Finding>, usize) {
        let sidecar = self.partition.and_then(|partition| partition.sidecar.as_ref());
        let all = sidecar.map(|sidecar| sidecar.findings.as_slice()).unwrap_or_default();
        let about = EpochRange::new(self.row_epoch.min(self.epoch), self.epoch.plus(1));
        // A finding that names no seconds is about the whole partition.
        let touches = |finding: &&Finding| {
            let meets =
                |about: EpochRange| finding.at.is_none_or(|at| at.intersect(about).is_some());
            about.is_some_and(meets)
        };
        let touching: Vec<_> = all.iter().filter(touches).map(Finding::weighed).collect();
        let n_others = all.len() - touching.len();
        (touching, n_others)
    }
}

/// The epoch a row of this second has: its own, or the open of its candle.
fn row_epoch(kind: Kind, epoch: Epoch) -> Epoch {
    kind.granularity().map_or(epoch, |granularity| epoch.floor_to(granularity.secs(), 0))
}

/// The word of the sidecar, for people.
pub fn state_words(state: CoverageState) -> &'static str {
    match state {
        CoverageState::Failed => "failed",
        CoverageState::NotOffered => "not offered",
        CoverageState::Inherited => "inherited",
        CoverageState::Answered => "answered",
    }
}

#[cfg(test)]
mod tests;
