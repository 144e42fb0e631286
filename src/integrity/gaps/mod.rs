//! Finds where a partition is silent for longer than its series usually is, and says why.
//!
//! One streaming pass in bounded memory: the rows teach the cadence (`cadence`) while the
//! longest silences are kept (`longest`); at the end the threshold is known, and what exceeds it
//! is classed (`class`). Seconds that nobody answered for are not silent but missing from the
//! coverage: no gap reaches across or into them.

mod cadence;
mod class;
mod longest;

use crate::domain::{
    Epoch, EpochRange, Gap, GapClass, Granularity, Kind, RangeSet, Record, SilenceFacts,
};

use self::cadence::{Cadence, Threshold};
use self::class::Classes;
use self::longest::{Longest, Silence};

/// Longest interval between two ticks that the old sidecar key `gaps_detected` does not count.
const OLD_TICK_THRESHOLD_SECS: i64 = 10;

/// Detects and classes the gaps of one partition from its rows, which come in ascending order.
///
/// The threshold is, in this order: [`SilenceFacts::gap_threshold_secs`]; 1.5 × the interval at
/// fixed cadence (a candle's granularity, [`SilenceFacts::interval_secs`], or an interval that
/// 95 % of the rows keep); otherwise learned for each hour of the week so that fewer than 0.1 % of
/// its intervals exceed it, between 10 s and 30 min.
#[derive(Debug)]
pub struct GapFinder<'a> {
    silence: &'a SilenceFacts,
    kind: Kind,
    /// The stretches in which silence means something, ascending; `None`: from the first row to the last.
    answered: Option<Vec<EpochRange>>,
    /// Which of `answered` the rows have reached.
    reached: usize,
    /// The last row inside the stretch that is reached.
    mark: Option<Epoch>,
    before: Option<Epoch>,
    interval_secs: Option<i64>,
    threshold: Option<Threshold>,
    cadence: Cadence,
    longest: Longest,
    gaps_detected: u64,
}

/// What a partition's silence looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GapsSeen {
    /// Silent stretches longer than the threshold, ascending, classed.
    pub gaps: Vec<Gap>,
    /// Gaps as the old sidecar key counts them, between all rows whatever the coverage says:
    /// for ticks intervals over 10 s between two rows, for candles intervals over the granularity,
    /// each counted once however many bars are missing in it.
    pub gaps_detected: u64,
    /// Those of them that nothing explains and that are longer than the series is used to be silent
    /// while its market is open.
    pub feed_silent: RangeSet,
    /// Whether there were more gaps than `gaps` can list; it then holds the longest.
    pub is_cut: bool,
}

impl<'a> GapFinder<'a> {
    /// Starts with no row. `answered` are the seconds somebody answered for; `None` if unknown.
    pub fn new(kind: Kind, answered: Option<&RangeSet>, silence: &'a SilenceFacts) -> Self {
        let granularity_secs = kind.granularity().map(Granularity::secs);
        let positive = |secs: &i64| *secs > 0;
        let interval_secs = granularity_secs.or(silence.interval_secs.filter(positive));
        let threshold = silence.gap_threshold_secs.filter(positive).map(Threshold::longer_than);
        let threshold = threshold.or(interval_secs.map(Threshold::of_interval));
        let on_grid = |range| bars_inside(range, granularity_secs.unwrap_or(1));
        Self {
            silence,
            kind,
            answered: answered.map(|set| set.iter().filter_map(on_grid).collect()),
            reached: 0,
            mark: None,
            before: None,
            interval_secs,
            cadence: Cadence::new(),
            longest: Longest::new(threshold.as_ref().map_or(1, Threshold::least_secs)),
            threshold,
            gaps_detected: 0,
        }
    }

    /// Adds the next rows; one that is not after the row before it is passed over.
    pub fn update<R: Record>(&mut self, mut rows: &[R]) {
        while let Some((row, behind)) = rows.split_first() {
            let n_steady = self.pass_steady(rows);
            if n_steady == 0 {
                self.push(row.epoch());
            }
            rows = if n_steady == 0 { behind } else { &rows[n_steady..] };
        }
    }

    /// Takes the rows at the head that only repeat the interval before them: the same as pushing
    /// each, and nearly all rows of a series with a fixed cadence. Returns how many.
    fn pass_steady<R: Record>(&mut self, rows: &[R]) -> usize {
        let (Some(last), Some((interval, until))) = (self.mark, self.cadence.steady()) else {
            return 0;
        };
        let is_remarkable = interval > self.old_threshold() || interval > self.longest.floor_secs();
        if is_remarkable || self.before != self.mark {
            return 0;
        }
        let until = self.stretch().map_or(until, |stretch| until.min(stretch.end()));
        let is_steady = |(row, n): &(&R, i64)| {
            let expected = last.plus(n * interval);
            row.epoch() == expected && expected < until
        };
        let n_steady = rows.iter().zip(1..).take_while(is_steady).count();
        let n = i64::try_from(n_steady).unwrap_or(0);
        self.cadence.push_steady(n_steady);
        self.mark = Some(last.plus(n * interval));
        self.before = self.mark;
        n_steady
    }

    /// Ends with the last row.
    pub fn finish(mut self) -> GapsSeen {
        while self.stretch().is_some() {
            self.close_stretch();
        }
        self.cadence.flush();
        let learned_interval = || self.cadence.fixed_interval_secs();
        let interval = match (self.interval_secs, &self.threshold) {
            (Some(interval), _) => Some(interval),
            (None, _) => learned_interval(),
        };
        let learned = |interval| match interval {
            Some(interval) => Threshold::of_interval(interval),
            None => self.cadence.threshold_by_hour(),
        };
        let usual = learned(self.interval_secs.or_else(learned_interval));
        let threshold = self.threshold.take().unwrap_or_else(|| learned(interval));
        let is_cut = self.longest.longest_dropped() > threshold.least_secs();
        let mut silences = self.longest.into_silences();
        silences.retain(|silence| threshold.is_exceeded_by(silence));
        let estimate = Estimate::new(interval, &self.cadence, &silences);
        let continuous =
            self.silence.continuous.unwrap_or_else(|| self.cadence.has_rows_on_saturdays());
        let row_secs = self.kind.granularity().map_or(1, Granularity::secs);
        let classes = Classes::new(self.silence, (continuous, row_secs), usual, &silences);
        let gap = |silence: &Silence| Gap {
            start: silence.range.start(),
            end: silence.range.end(),
            missing_estimate: estimate.missing(silence),
            class: classes.of(silence),
            asked_first: None,
            asked_last: None,
        };
        let gaps: Vec<Gap> = silences.iter().map(gap).collect();
        let too_long = silences.iter().zip(&gaps).filter(|(silence, gap)| {
            gap.class == GapClass::Unexplained && classes.is_too_long(silence)
        });
        let feed_silent = too_long.map(|(silence, _)| silence.range).collect();
        GapsSeen { gaps, gaps_detected: self.gaps_detected, feed_silent, is_cut }
    }

    fn push(&mut self, epoch: Epoch) {
        if let Some(before) = self.before {
            if epoch <= before {
                return;
            }
            self.count_old(epoch.since(before));
        }
        self.before = Some(epoch);
        if self.answered.is_none() {
            self.push_inside(None, epoch);
            return;
        }
        while let Some(stretch) = self.stretch() {
            if epoch < stretch.start() {
                return;
            }
            if epoch < stretch.end() {
                self.push_inside(Some(stretch), epoch);
                return;
            }
            self.close_stretch();
        }
    }

    fn count_old(&mut self, interval_secs: i64) {
        self.gaps_detected += u64::from(interval_secs > self.old_threshold());
    }

    fn old_threshold(&self) -> i64 {
        self.kind.granularity().map_or(OLD_TICK_THRESHOLD_SECS, Granularity::secs)
    }

    /// The stretch the rows have reached.
    fn stretch(&self) -> Option<EpochRange> {
        self.answered.as_ref()?.get(self.reached).copied()
    }

    fn push_inside(&mut self, stretch: Option<EpochRange>, epoch: Epoch) {
        match (self.mark, stretch) {
            (Some(before), _) => {
                self.cadence.push(before, epoch.since(before));
                self.longest.offer_between(before, epoch);
            }
            (None, Some(stretch)) => self.longest.offer_edge(stretch.start(), epoch),
            (None, None) => {}
        }
        self.mark = Some(epoch);
    }

    fn close_stretch(&mut self) {
        let Some(stretch) = self.stretch() else { return };
        match self.mark.take() {
            Some(last) => self.longest.offer_trailing(last, stretch.end()),
            None => self.longest.offer_edge(stretch.start(), stretch.end()),
        }
        self.reached += 1;
    }
}

/// The gaps nothing explains.
pub(crate) fn unexplained(gaps: &[Gap]) -> impl Iterator<Item = &Gap> {
    gaps.iter().filter(|gap| gap.class == GapClass::Unexplained)
}

/// The part of `range` that holds whole bars: an edge inside a bar promises nothing of that bar.
fn bars_inside(range: EpochRange, granularity_secs: i64) -> Option<EpochRange> {
    let start = range.start().ceil_to(granularity_secs, 0);
    EpochRange::new(start, range.end().floor_to(granularity_secs, 0))
}

/// How many records a silence swallowed.
struct Estimate {
    interval_secs: Option<i64>,
    mean: Option<Mean>,
}

struct Mean {
    secs: i64,
    n_intervals: i64,
}

impl Estimate {
    fn new(interval_secs: Option<i64>, cadence: &Cadence, gaps: &[Silence]) -> Self {
        let between = || gaps.iter().filter(|silence| silence.is_between_rows);
        let gap_secs: i64 = between().map(|silence| silence.distance_secs).sum();
        let n_gaps = i64::try_from(between().count()).unwrap_or(i64::MAX);
        let n_intervals = cadence.n_intervals() - n_gaps;
        let mean = Mean { secs: cadence.total_secs() - gap_secs, n_intervals };
        Self { interval_secs, mean: Some(mean).filter(|m| m.secs > 0 && m.n_intervals > 0) }
    }

    fn missing(&self, silence: &Silence) -> u64 {
        let n = match (self.interval_secs, &self.mean) {
            (Some(interval), _) => silence.steps_inside(interval),
            (None, Some(mean)) => {
                let secs = silence.range.len_secs();
                secs.saturating_mul(mean.n_intervals).saturating_add(mean.secs / 2) / mean.secs
            }
            (None, None) => 0,
        };
        n.unsigned_abs()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod verified;
