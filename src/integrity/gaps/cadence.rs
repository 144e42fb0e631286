//! How often the rows of a partition come, learned while they stream by.

use crate::domain::Epoch;

use super::longest::Silence;

const SECS_PER_HOUR: i64 = 3600;
const HOURS_PER_WEEK: usize = 168;
/// 1970-01-01 was a Thursday; hours are counted from Monday.
const EPOCH_HOUR_OF_WEEK: i64 = 72;
const SATURDAY: std::ops::Range<usize> = 120..144;

/// Intervals below this have a bin each.
const N_EXACT_BINS: usize = 512;
/// Longer ones share four bins to each doubling, up to the 2^22 s that no month reaches.
const N_BINS: usize = N_EXACT_BINS + 4 * 13;

/// Intervals needed before a share of them says anything.
const MIN_INTERVALS_FOR_FIXED: u64 = 20;
/// Share of intervals that must be equal for a fixed cadence, in percent.
const FIXED_SHARE_PERCENT: u64 = 95;

/// One interval in so many may exceed the learned threshold.
const ONE_EXCEEDS_IN: u64 = 1000;
/// The learned threshold stays in these bounds: below 10 s nobody called a silence a gap, and half
/// an hour is one even in a series that is often silent (a closed market is that long).
const LEARNED_BOUNDS_SECS: (i64, i64) = (10, 1800);

/// From which distance on a silence is a gap.
#[derive(Debug)]
pub(super) enum Threshold {
    /// The same at all times, in half seconds.
    Everywhere { half_secs: i64 },
    /// One for each hour of the week, from Monday 00:00 UTC, in seconds.
    ByHour(Vec<i64>),
}

impl Threshold {
    /// Distances above `secs` are gaps.
    pub(super) fn longer_than(secs: i64) -> Self {
        Self::Everywhere { half_secs: secs.saturating_mul(2) }
    }

    /// Distances above one and a half intervals are gaps.
    pub(super) fn of_interval(interval_secs: i64) -> Self {
        Self::Everywhere { half_secs: interval_secs.saturating_mul(3) }
    }

    /// No distance up to this is a gap at any time.
    pub(super) fn least_secs(&self) -> i64 {
        match self {
            Self::Everywhere { half_secs } => half_secs / 2,
            Self::ByHour(secs) => secs.iter().copied().min().unwrap_or(0),
        }
    }

    /// Tells whether the silence is a gap.
    pub(super) fn is_exceeded_by(&self, silence: &Silence) -> bool {
        match self {
            Self::Everywhere { half_secs } => silence.distance_secs.saturating_mul(2) > *half_secs,
            Self::ByHour(_) => silence.distance_secs > self.secs_at(silence),
        }
    }

    /// The distance from which on a silence that begins when this one does is a gap.
    pub(super) fn secs_at(&self, silence: &Silence) -> i64 {
        match self {
            Self::Everywhere { half_secs } => half_secs / 2,
            Self::ByHour(secs) => {
                // The interval began with the row before the first silent second.
                let from = silence.range.end().plus(-silence.distance_secs);
                secs[hour_of_week(from)]
            }
        }
    }
}

/// Histograms of the intervals between rows, one for each hour of the week.
#[derive(Debug)]
pub(super) struct Cadence {
    bins: Vec<[u32; N_BINS]>,
    run: Run,
    n_intervals: u64,
    total_secs: i64,
}

/// Equal intervals in one hour, not counted yet: most rows only add one here.
#[derive(Debug, Default)]
struct Run {
    interval_secs: i64,
    hour: usize,
    hour_end: Epoch,
    n: u32,
}

impl Cadence {
    pub(super) fn new() -> Self {
        let bins = vec![[0; N_BINS]; HOURS_PER_WEEK];
        Self { bins, run: Run::default(), n_intervals: 0, total_secs: 0 }
    }

    /// Counts the interval from the row at `before` to the next; rows come in ascending order.
    pub(super) fn push(&mut self, before: Epoch, interval_secs: i64) {
        if interval_secs != self.run.interval_secs || before >= self.run.hour_end {
            self.flush();
            self.run.interval_secs = interval_secs;
            if before >= self.run.hour_end {
                self.run.hour = hour_of_week(before);
                self.run.hour_end = before.floor_to(SECS_PER_HOUR, 0).plus(SECS_PER_HOUR);
            }
        }
        self.run.n += 1;
    }

    /// The interval of the last rows, and the second up to which more of it need only be counted;
    /// none before the second row.
    pub(super) fn steady(&self) -> Option<(i64, Epoch)> {
        let Run { interval_secs, hour_end, n, .. } = self.run;
        (n > 0).then_some((interval_secs, hour_end))
    }

    /// Counts so many more intervals of the last rows; the rows must lie before the second that
    /// [`steady`](Self::steady) names.
    pub(super) fn push_steady(&mut self, n: usize) {
        // At most one a second, for an hour.
        self.run.n += u32::try_from(n).unwrap_or(0);
    }

    /// Counts what is still held back; to be called before anything is asked.
    pub(super) fn flush(&mut self) {
        let Run { interval_secs, hour, n, .. } = self.run;
        self.bins[hour][bin_of(interval_secs)] += n;
        self.n_intervals += u64::from(n);
        self.total_secs += i64::from(n) * interval_secs;
        self.run.n = 0;
    }

    /// All that was counted.
    #[cfg(test)]
    pub(super) fn state(&mut self) -> (Vec<[u32; N_BINS]>, u64, i64) {
        self.flush();
        (self.bins.clone(), self.n_intervals, self.total_secs)
    }

    pub(super) fn n_intervals(&self) -> i64 {
        i64::try_from(self.n_intervals).unwrap_or(i64::MAX)
    }

    pub(super) fn total_secs(&self) -> i64 {
        self.total_secs
    }

    /// The interval that nearly all rows keep, if there is one.
    pub(super) fn fixed_interval_secs(&self) -> Option<i64> {
        let all = self.all_hours();
        let exact = all.iter().take(N_EXACT_BINS).enumerate();
        let (interval, n) = exact.max_by_key(|(_, n)| **n)?;
        let enough = self.n_intervals >= MIN_INTERVALS_FOR_FIXED;
        let share = *n * 100 >= self.n_intervals * FIXED_SHARE_PERCENT;
        (enough && share).then_some(i64::try_from(interval).ok()?)
    }

    /// Tells whether there are rows on Saturdays, when sessions are closed the world over.
    pub(super) fn has_rows_on_saturdays(&self) -> bool {
        self.bins[SATURDAY].iter().flatten().any(|n| *n > 0)
    }

    /// For each hour of the week the shortest threshold that fewer than one interval in a thousand
    /// exceeds; an hour with too few rows to tell takes that of the whole week.
    pub(super) fn threshold_by_hour(&self) -> Threshold {
        let week = threshold_of(&self.all_hours());
        let of_hour = |bins: &[u32; N_BINS]| {
            let bins = bins.map(u64::from);
            let enough = bins.iter().sum::<u64>() >= ONE_EXCEEDS_IN;
            if enough { threshold_of(&bins) } else { week }
        };
        Threshold::ByHour(self.bins.iter().map(of_hour).collect())
    }

    fn all_hours(&self) -> [u64; N_BINS] {
        let mut all = [0; N_BINS];
        for hour in &self.bins {
            for (sum, n) in all.iter_mut().zip(hour) {
                *sum += u64::from(*n);
            }
        }
        all
    }
}

fn threshold_of(bins: &[u64; N_BINS]) -> i64 {
    let n: u64 = bins.iter().sum();
    let allowed = n.saturating_sub(1) / ONE_EXCEEDS_IN;
    let mut exceeding = 0;
    let (least, most) = LEARNED_BOUNDS_SECS;
    for (bin, n) in bins.iter().enumerate().rev() {
        exceeding += n;
        if exceeding > allowed {
            return longest_in(bin).clamp(least, most);
        }
    }
    least
}

fn bin_of(interval_secs: i64) -> usize {
    let secs = usize::try_from(interval_secs.max(0)).unwrap_or(usize::MAX);
    if secs < N_EXACT_BINS {
        return secs;
    }
    let doubling = secs.ilog2() as usize;
    let quarter = (secs >> (doubling - 2)) & 3;
    let doublings = doubling - N_EXACT_BINS.ilog2() as usize;
    (N_EXACT_BINS + 4 * doublings + quarter).min(N_BINS - 1)
}

/// The longest interval that falls into a bin.
fn longest_in(bin: usize) -> i64 {
    let Some(beyond) = bin.checked_sub(N_EXACT_BINS) else {
        return i64::try_from(bin).unwrap_or(i64::MAX);
    };
    let (doublings, quarter) = (beyond / 4, beyond % 4);
    let width = (N_EXACT_BINS << doublings) / 4;
    i64::try_from(width * (5 + quarter) - 1).unwrap_or(i64::MAX)
}

fn hour_of_week(epoch: Epoch) -> usize {
    let hour = epoch.secs().div_euclid(SECS_PER_HOUR) + EPOCH_HOUR_OF_WEEK;
    usize::try_from(hour.rem_euclid(HOURS_PER_WEEK as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_ends_where_the_next_begins() {
        for secs in 0..3_000_000 {
            let bin = bin_of(secs);
            assert!(secs <= longest_in(bin), "{secs}");
            assert!(bin == 0 || secs > longest_in(bin - 1), "{secs}");
        }
        assert_eq!(bin_of(i64::MAX), N_BINS - 1);
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 2026-03-02 was a Monday.
        let monday = 1_772_409_600;
        assert_eq!(hour_of_week(Epoch::new(monday)), 0);
        assert_eq!(hour_of_week(Epoch::new(monday - 1)), 167);
        assert_eq!(hour_of_week(Epoch::new(monday + 5 * 86_400)), SATURDAY.start);
    }

    #[test]
    fn counts_runs_as_single_intervals() {
        let mut cadence = Cadence::new();
        let mut at = Epoch::new(0);
        for i in 0..10_000 {
            let interval = if i % 30 == 0 { 4 } else { 2 };
            cadence.push(at, interval);
            at = at.plus(interval);
        }
        cadence.flush();
        assert_eq!(cadence.n_intervals(), 10_000);
        assert_eq!(cadence.total_secs(), at.secs());
        assert_eq!(cadence.fixed_interval_secs(), Some(2));
        assert!(!cadence.has_rows_on_saturdays());
    }

    #[test]
    fn fewer_than_one_in_a_thousand_exceed_the_learned_threshold() {
        let threshold = |long: u64| {
            let mut bins = [0; N_BINS];
            bins[3] = 100_000 - long;
            bins[60] = long;
            threshold_of(&bins)
        };
        assert_eq!(threshold(99), 10);
        assert_eq!(threshold(100), 60);
        assert_eq!(threshold(0), 10);
        assert_eq!(threshold_of(&[0; N_BINS]), 10);
    }
}
