//! Opening hours: whom to ask about, on which days, and what becomes of the answers.
//!
//! They only say which silence is expected. So they are asked for only by a run that works on a
//! series with opening hours, for at most two days, and again only after a week; whatever goes
//! wrong, the run goes on with what the rows show.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Epoch, ErrorKind, HoursFacts, SourceError, SourceInfo, Symbol, TradingDay, Weekday,
};

use super::prepare::{Prepared, chain};

/// Days asked for in one run.
const MAX_ASKS: usize = 2;

/// What was told is believed for so long before it is asked for again.
const REFRESH_SECS: i64 = 7 * 86_400;

/// Which weekdays tell most of a week: those on which a week-end begins and ends, then one from
/// its middle.
const MOST_TELLING: [Weekday; 7] = [
    Weekday::Fri,
    Weekday::Sun,
    Weekday::Wed,
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Thu,
    Weekday::Sat,
];

/// Asks for the hours that are missing or old, and hands what is known to the profiles.
pub(super) async fn learn<S: SourceInfo>(source: &S, prepared: &mut Prepared) {
    let now = prepared.clock.now();
    let wanted = wanted(prepared, now);
    for day in days_to_ask(&wanted, &prepared.facts.hours, now) {
        match source.trading_times(day).await {
            Ok(told) => note(&mut prepared.facts.hours, &wanted, day, &told, now),
            Err(error) => {
                let why = chain(&error);
                tracing::debug!(%day, why, "opening hours are not told; rows will show them");
                if is_lasting(&error) {
                    note(&mut prepared.facts.hours, &wanted, day, &[], now);
                }
                break;
            }
        }
    }
    for (series, profile) in &mut prepared.profiles {
        let known = prepared.facts.hours.get(series.symbol.as_str());
        let hours = known.map(|facts| facts.hours.clone());
        profile.hours = hours.filter(|hours| !hours.is_empty());
    }
}

/// The symbols that are worked on, may close, and of which too little or too old is known.
fn wanted(prepared: &Prepared, now: Epoch) -> BTreeSet<Symbol> {
    let worked_on = prepared.plan.partitions.iter().filter(|planned| !planned.missing.is_empty());
    let may_close = |symbol: &&Symbol| {
        let mut profiles = prepared.profiles.iter().filter(|(series, _)| series.symbol == **symbol);
        profiles.any(|(_, profile)| profile.continuous != Some(true))
    };
    let symbols = worked_on.map(|planned| &planned.key.series.symbol);
    let is_due = |symbol: &&Symbol| is_due(prepared.facts.hours.get(symbol.as_str()), now);
    symbols.filter(may_close).filter(is_due).cloned().collect()
}

fn is_due(known: Option<&HoursFacts>, now: Epoch) -> bool {
    let Some(known) = known else { return true };
    // What was asked in the future was asked of another clock.
    let is_recent = |asked: &Epoch| (0..REFRESH_SECS).contains(&now.since(*asked));
    !known.hours.is_always_open() && !known.asked.values().any(is_recent)
}

/// The latest whole days of those weekdays that were not asked for the longest.
fn days_to_ask(
    wanted: &BTreeSet<Symbol>,
    known: &BTreeMap<String, HoursFacts>,
    now: Epoch,
) -> Vec<Epoch> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let asked = |weekday: &Weekday| {
        let of_symbol = |symbol: &Symbol| known.get(symbol.as_str())?.asked.get(weekday).copied();
        // No time at all is the smallest option: never asked comes first.
        wanted.iter().map(of_symbol).min().flatten()
    };
    let mut weekdays = MOST_TELLING;
    weekdays.sort_by_key(asked);
    let today = now.floor_to(86_400, 0);
    let latest = |weekday: &Weekday| {
        let mut days = (1..=7).map(|back| today.plus(-86_400 * back));
        days.find(|day| Weekday::of(*day) == *weekday)
    };
    weekdays[..MAX_ASKS].iter().filter_map(latest).collect()
}

/// Keeps what was told of `day`, and that it was asked for even where nothing was told.
fn note(
    known: &mut BTreeMap<String, HoursFacts>,
    wanted: &BTreeSet<Symbol>,
    day: Epoch,
    told: &[TradingDay],
    now: Epoch,
) {
    for symbol in wanted {
        let facts = known.entry(symbol.to_string()).or_default();
        facts.asked.insert(Weekday::of(day), now);
        let is_it = |told: &&TradingDay| told.symbol == *symbol && told.day == day;
        told.iter().filter(is_it).for_each(|told| facts.hours.learn(told));
    }
}

/// Whether asking again tomorrow would end the same way.
fn is_lasting(error: &SourceError) -> bool {
    use ErrorKind::{Malformed, MarketClosed, Rejected, TooLarge, Unauthorized, Unknown};
    matches!(error.kind, Malformed | MarketClosed | Rejected | TooLarge | Unauthorized | Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Session;

    const DAY: i64 = 86_400;

    /// Wednesday 2026-03-11, noon.
    const NOW: Epoch = Epoch::new(1_773_187_200 + 12 * 3600);

    fn forex() -> BTreeSet<Symbol> {
        ["frxEURUSD".parse().unwrap()].into()
    }

    fn told(day: Epoch, secs: Option<(i64, i64)>) -> TradingDay {
        TradingDay {
            symbol: "frxEURUSD".parse().unwrap(),
            day,
            sessions: secs
                .map(|(open, close)| Session::new(open, close).unwrap())
                .into_iter()
                .collect(),
            weekdays: None,
            holidays: Vec::new(),
            odd_days: Vec::new(),
        }
    }

    #[test]
    fn the_days_of_a_week_are_asked_two_by_two() {
        let mut known = BTreeMap::new();
        let mut asked = Vec::new();
        for week in 0..5 {
            let now = NOW.plus(7 * DAY * week);
            let days = days_to_ask(&forex(), &known, now);
            assert_eq!(days.len(), 2);
            assert!(days.iter().all(|day| (DAY..=8 * DAY).contains(&now.since(*day))), "{days:?}");
            for day in days {
                asked.push(Weekday::of(day));
                note(&mut known, &forex(), day, &[told(day, Some((0, DAY / 2)))], now);
            }
        }
        use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        assert_eq!(asked, [Fri, Sun, Wed, Mon, Tue, Thu, Sat, Fri, Sun, Wed]);
        assert!(days_to_ask(&BTreeSet::new(), &known, NOW).is_empty());
    }

    #[test]
    fn hours_are_due_after_a_week_and_never_again_if_there_is_no_closing() {
        assert!(is_due(None, NOW));
        let mut known = BTreeMap::new();
        let sunday = NOW.floor_to(DAY, 0).plus(-3 * DAY);
        note(&mut known, &forex(), sunday, &[told(sunday, Some((DAY / 2, DAY)))], NOW);
        let due = |known: &BTreeMap<_, _>, after| is_due(known.get("frxEURUSD"), NOW.plus(after));
        assert!(!due(&known, 0) && !due(&known, 7 * DAY - 1) && due(&known, 7 * DAY));
        assert!(due(&known, -1), "asked of another clock");
        // An answer that says nothing counts as asked too.
        let mut known = BTreeMap::new();
        note(&mut known, &forex(), sunday, &[], NOW);
        assert!(!due(&known, DAY) && known["frxEURUSD"].hours.is_empty());
        note(&mut known, &forex(), sunday, &[told(sunday, Some((0, DAY)))], NOW);
        assert!(!due(&known, 100 * DAY));
    }

    #[test]
    fn what_is_told_of_others_or_of_another_day_is_not_taken() {
        let mut known = BTreeMap::new();
        let sunday = NOW.floor_to(DAY, 0).plus(-3 * DAY);
        let other = TradingDay { symbol: "R_100".parse().unwrap(), ..told(sunday, None) };
        note(&mut known, &forex(), sunday, &[other, told(sunday.plus(DAY), None)], NOW);
        assert!(known["frxEURUSD"].hours.is_empty() && known.len() == 1);
    }
}
