//! Sidecars for tests, told in days.

use crate::domain::{Coverage, CoverageState, Epoch, EpochRange, Gap, GapClass};

use super::{DayDigest, Sidecar, SidecarCoverage};

/// Days after 2026-03-01T00:00:00Z.
pub(crate) fn day(days: f64) -> Epoch {
    Epoch::new(1_772_323_200 + (days * 86_400.0) as i64)
}

/// What lies between two days.
pub(crate) fn days(start: f64, end: f64) -> EpochRange {
    EpochRange::new(day(start), day(end)).unwrap()
}

/// Makes a sidecar of little else say what is covered and where it is silent; the first of March is
/// the one day with rows.
pub(crate) fn tell(
    sidecar: &mut Sidecar,
    covered: &[(f64, f64, CoverageState)],
    gaps: &[(f64, f64, GapClass)],
) {
    let mut coverage = Coverage::new();
    for (start, end, state) in covered {
        coverage.insert(days(*start, *end), *state);
    }
    let untimed = |c: &crate::domain::CoverageRange| SidecarCoverage {
        start: c.start,
        end: c.end,
        state: c.state,
        asked_first: None,
        asked_last: None,
    };
    sidecar.coverage = coverage.ranges().iter().map(untimed).collect();
    let gap = |(start, end, class): &(f64, f64, GapClass)| Gap {
        start: day(*start),
        end: day(*end),
        missing_estimate: 1,
        class: *class,
        asked_first: None,
        asked_last: None,
    };
    sidecar.gaps = gaps.iter().map(gap).collect();
    let date = "2026-03-01".to_owned();
    sidecar.days = vec![DayDigest { date, rows: 1, rows_sha256: String::new() }];
}
