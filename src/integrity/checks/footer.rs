//! What the file says of itself, against its place and its rows.

use chrono::{NaiveDate, NaiveTime};

use crate::domain::{Advice, Epoch, EpochRange, Finding, FindingKind, MAX_DECIMALS, PartitionKey};
use crate::format::{DayDigest, Footer};

use super::rows::RowsSeen;
use super::shown;

/// Days whose hash fails that are named one by one; more than a month has means more than damage.
const MAX_NAMED_DAYS: usize = 31;

/// Checks that the footer is that of the partition whose place the file has, and that it is
/// written the one way it can be; `value` reads the pairs of the file.
pub(crate) fn check_footer<'a>(
    place: &str,
    key: &PartitionKey,
    footer: &Footer,
    value: impl Fn(&str) -> Option<&'a str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut mismatch = |expected: String, found: String, advice: Advice| {
        let finding = Finding::error(FindingKind::FooterMismatch, place, expected, found);
        findings.push(finding.advise(advice));
    };
    if footer.key != *key {
        mismatch(key.to_string(), format!("a footer of {}", footer.key), Advice::RepairRows);
    }
    let month = footer.key.month.range();
    let outside = footer.coverage.ranges().iter().find(|c| {
        let range = c.range();
        range.is_none_or(|range| !month.covers(range))
    });
    if let Some(outside) = outside {
        let expected = format!("coverage inside {}", footer.key.month);
        mismatch(
            expected,
            format!("coverage {} to {}", outside.start, outside.end),
            Advice::RepairRows,
        );
    }
    if let Some(pip_size) = footer.pip_size.filter(|pip_size| *pip_size > MAX_DECIMALS) {
        mismatch(
            format!("at most {MAX_DECIMALS} decimals"),
            pip_size.to_string(),
            Advice::RepairRows,
        );
    }
    // Coverage in particular is canonical only if equal knowledge always gives equal bytes.
    for (name, canonical) in footer.to_pairs() {
        let found = value(&name).unwrap_or_default();
        if found != canonical {
            let found = format!("`{}`", shown(found));
            let expected = format!("`{name}` in its canonical form `{}`", shown(canonical));
            mismatch(expected, found, Advice::Repair);
        }
    }
    findings
}

/// Checks that the footer agrees with itself and with the Parquet metadata on the number of rows:
/// all that can be said without reading them.
pub(crate) fn check_declared_rows(place: &str, footer: &Footer, declared: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut count = |expected: String, found: String| {
        let finding = Finding::error(FindingKind::RecordCount, place, expected, found);
        findings.push(finding.advise(Advice::RepairRows));
    };
    let promised = footer.record_count;
    if u64::try_from(declared) != Ok(promised) {
        let found = format!("{declared} rows in its Parquet metadata");
        count(format!("{promised} rows as the footer says"), found);
    }
    let in_days: u64 = footer.days.iter().map(|day| day.rows).fold(0, u64::saturating_add);
    if in_days != promised {
        let found = format!("days of {in_days} rows");
        count(format!("days of {promised} rows together"), found);
    }
    findings
}

/// Checks that the footer counts and hashes the rows that are there.
pub(crate) fn check_rows_of_footer(place: &str, footer: &Footer, seen: &RowsSeen) -> Vec<Finding> {
    let mut findings = Vec::new();
    if footer.record_count != seen.n_rows {
        let expected = format!("{} rows as the footer says", footer.record_count);
        let found = format!("{} rows", seen.n_rows);
        let finding = Finding::error(FindingKind::RecordCount, place, expected, found);
        findings.push(finding.advise(Advice::RepairRows));
    }
    let hash = |subject: String, expected: String, found: String| {
        Finding::error(FindingKind::RowsHash, subject, expected, found).advise(Advice::RepairRows)
    };
    let Some(digests) = &seen.digests else {
        let expected = format!("rows that hash to {}", shown(&footer.rows_sha256));
        findings.push(hash(place.to_owned(), expected, "rows in no order".to_owned()));
        return findings;
    };
    if digests.rows_sha256 != footer.rows_sha256 {
        let expected = format!("rows that hash to {}", shown(&footer.rows_sha256));
        findings.push(hash(place.to_owned(), expected, digests.rows_sha256.clone()));
    }
    if digests.days != footer.days {
        let days = differing_days(&footer.days, &digests.days);
        if days.is_empty() {
            let expected = "each day once, in the order of the calendar".to_owned();
            findings.push(hash(place.to_owned(), expected, "days in another order".to_owned()));
        }
        findings.extend(days.into_iter().take(MAX_NAMED_DAYS).map(|day| {
            let subject = format!("{place} on {}", shown(&day.date));
            let expected = "the rows this day had when it was written".to_owned();
            Finding { at: seconds_of(&day.date), ..hash(subject, expected, day.found) }
        }));
    }
    findings
}

fn seconds_of(date: &str) -> Option<EpochRange> {
    let midnight = date.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc();
    let start = Epoch::new(midnight.timestamp());
    EpochRange::new(start, start.plus(86_400))
}

struct DifferingDay {
    date: String,
    found: String,
}

fn differing_days(promised: &[DayDigest], seen: &[DayDigest]) -> Vec<DifferingDay> {
    let rows = |n: u64| format!("{n} rows");
    let changed = promised.iter().filter_map(|day| {
        let now = seen.iter().find(|other| other.date == day.date);
        let found = match now {
            Some(now) if now == day => return None,
            Some(now) if now.rows == day.rows => "other rows".to_owned(),
            Some(now) => format!("{} instead of {}", rows(now.rows), day.rows),
            None => format!("none of its {}", rows(day.rows)),
        };
        Some(DifferingDay { date: day.date.clone(), found })
    });
    let surplus = seen.iter().filter(|day| !promised.iter().any(|other| other.date == day.date));
    let surplus = surplus.map(|day| DifferingDay {
        date: day.date.clone(),
        found: format!("{} that the footer does not list", rows(day.rows)),
    });
    changed.chain(surplus).collect()
}
