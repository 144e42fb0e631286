//! The plan that says which faults the exchange commits, and when.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::domain::{Epoch, EpochRange};

pub(super) use super::fault_table::Stage;
pub use super::fault_table::{Fault, OUTAGE};
use super::walk::{Draw, hash, unit};

/// Which faults happen when.
///
/// Faults of a connection's upgrade are counted by connection, all others by `ticks_history`
/// call that the limits let through, both from 1 over the whole life of the simulator. Other calls
/// are never spoiled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    outages: Vec<Outage>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    fault: Fault,
    when: When,
}

#[derive(Debug, Clone, PartialEq)]
enum When {
    /// With this probability, drawn from the seed and the number.
    Chance(f64),
    /// On these numbers.
    Numbers(RangeInclusive<u64>),
    /// On every call whose window touches this range.
    Touching(EpochRange),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outage {
    from: Duration,
    to: Duration,
}

/// Why a plan cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultPlanError {
    /// The entry has no `=`.
    #[error("cannot read fault `{0}`; write `name=probability`, like `short_page=0.05`")]
    Form(String),
    /// The name is in no table.
    #[error("there is no fault `{0}`; `simulate --help` lists them")]
    Name(String),
    /// The probability is not a number from 0 to 1.
    #[error("the probability of fault `{name}` is `{value}`; it must be a number from 0 to 1")]
    Probability {
        /// Of which fault.
        name: String,
        /// What stands there.
        value: String,
    },
    /// The range is not two epochs in order.
    #[error(
        "cannot read the range `{value}` of fault `{name}`; write `name=A..B` in epochs, B exclusive"
    )]
    Range {
        /// Of which fault.
        name: String,
        /// What stands there.
        value: String,
    },
    /// A connection has no window that a range could touch.
    #[error("fault `{0}` spoils connections and takes a probability only")]
    NoWindow(String),
    /// The outage is not two numbers of seconds.
    #[error("cannot read outage `{0}`; write `outage=A+N`, both in seconds, like `outage=30+20`")]
    Outage(String),
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads entries of the form `name=probability`, `name=A..B` or `outage=A+N`; the later ones add
    /// to the earlier.
    ///
    /// `A..B` spoils every call whose window touches the seconds from epoch A to before epoch B.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be read.
    pub fn parse(entries: &[String]) -> Result<Self, FaultPlanError> {
        entries.iter().try_fold(Self::none(), |plan, entry| plan.with_entry(entry))
    }

    fn with_entry(self, entry: &str) -> Result<Self, FaultPlanError> {
        let (name, value) =
            entry.split_once('=').ok_or_else(|| FaultPlanError::Form(entry.to_owned()))?;
        let (name, value) = (name.trim(), value.trim());
        if name == OUTAGE.0 {
            let unreadable = || FaultPlanError::Outage(value.to_owned());
            let (from, length) = value.split_once('+').ok_or_else(unreadable)?;
            let secs = |text: &str| text.trim().parse::<u32>().map_err(|_| unreadable());
            let secs = (secs(from)?, secs(length)?);
            return Ok(self.with_outage(
                Duration::from_secs(secs.0.into()),
                Duration::from_secs(secs.1.into()),
            ));
        }
        let fault = Fault::from_name(name).ok_or_else(|| FaultPlanError::Name(name.to_owned()))?;
        if let Some((from, to)) = value.split_once("..") {
            return self.with_range(fault, from, to);
        }
        match value.parse::<f64>() {
            Ok(chance) if (0.0..=1.0).contains(&chance) => Ok(self.with_chance(fault, chance)),
            _ => {
                Err(FaultPlanError::Probability { name: name.to_owned(), value: value.to_owned() })
            }
        }
    }

    fn with_range(self, fault: Fault, from: &str, to: &str) -> Result<Self, FaultPlanError> {
        if fault.stage() == Stage::Upgrade {
            return Err(FaultPlanError::NoWindow(fault.name().to_owned()));
        }
        let epoch = |text: &str| text.trim().parse().ok().map(Epoch::new);
        let range = epoch(from).zip(epoch(to)).and_then(|(from, to)| EpochRange::new(from, to));
        match range {
            Some(range) => Ok(self.touching(fault, range)),
            None => Err(FaultPlanError::Range {
                name: fault.name().to_owned(),
                value: format!("{from}..{to}"),
            }),
        }
    }

    /// Only this fault, on the `nth` call (from 1).
    pub fn one_shot(fault: Fault, nth: u64) -> Self {
        Self::none().on(fault, nth..=nth)
    }

    /// Adds a fault on each of these calls (from 1).
    #[must_use]
    pub fn on(mut self, fault: Fault, numbers: RangeInclusive<u64>) -> Self {
        self.rules.push(Rule { fault, when: When::Numbers(numbers) });
        self
    }

    /// Adds a fault on every call.
    #[must_use]
    pub fn always(self, fault: Fault) -> Self {
        self.on(fault, 1..=u64::MAX)
    }

    /// Adds a fault with a probability from 0 to 1.
    #[must_use]
    pub fn with_chance(mut self, fault: Fault, chance: f64) -> Self {
        self.rules.push(Rule { fault, when: When::Chance(chance) });
        self
    }

    /// Adds a fault on every history call whose window touches `range`, however often it is asked.
    #[must_use]
    pub fn touching(mut self, fault: Fault, range: EpochRange) -> Self {
        self.rules.push(Rule { fault, when: When::Touching(range) });
        self
    }

    /// Adds an outage that begins `after` the start of the simulator and lasts `length`.
    #[must_use]
    pub fn with_outage(mut self, after: Duration, length: Duration) -> Self {
        self.outages.push(Outage { from: after, to: after + length });
        self
    }

    /// The fault of the `number`th history call over `window`, the first that applies in plan order.
    pub(super) fn of_call(
        &self,
        seed: u64,
        number: u64,
        window: Option<EpochRange>,
    ) -> Option<Fault> {
        self.find(seed, number, window, |stage| stage != Stage::Upgrade)
    }

    /// The fault of the `number`th connection.
    pub(super) fn of_connection(&self, seed: u64, number: u64) -> Option<Fault> {
        self.find(seed, number, None, |stage| stage == Stage::Upgrade)
    }

    fn find(
        &self,
        seed: u64,
        number: u64,
        window: Option<EpochRange>,
        wanted: impl Fn(Stage) -> bool,
    ) -> Option<Fault> {
        let applies = |(place, rule): (usize, &Rule)| match &rule.when {
            When::Chance(chance) => {
                let key = seed ^ ((place as u64 + 1) << 32) ^ rule.fault as u64;
                unit(hash(key, Draw::Fault, number.cast_signed())) < *chance
            }
            When::Numbers(numbers) => numbers.contains(&number),
            When::Touching(range) => window.is_some_and(|asked| range.intersect(asked).is_some()),
        };
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| wanted(rule.fault.stage()))
            .find(|&entry| applies(entry))
            .map(|(_, rule)| rule.fault)
    }

    /// Tells whether there is an outage so long after the start.
    pub(super) fn is_out(&self, after: Duration) -> bool {
        self.outages.iter().any(|outage| (outage.from..outage.to).contains(&after))
    }

    /// When the next outage begins, seen from so long after the start.
    pub(super) fn next_outage(&self, after: Duration) -> Option<Duration> {
        self.outages.iter().map(|outage| outage.from).filter(|from| *from > after).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[&str]) -> Result<FaultPlan, FaultPlanError> {
        FaultPlan::parse(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn reads_what_the_command_line_gives() {
        let plan = parse(&["hang=1", "outage=30+20"]).unwrap();
        assert_eq!(plan.of_call(1, 1, None), Some(Fault::Hang));
        assert!(plan.is_out(Duration::from_secs(30)));
        assert!(!plan.is_out(Duration::from_secs(50)));
        assert!(matches!(parse(&["hang"]), Err(FaultPlanError::Form(_))));
        assert!(matches!(parse(&["hung=1"]), Err(FaultPlanError::Name(_))));
        assert!(matches!(parse(&["hang=2"]), Err(FaultPlanError::Probability { .. })));
        assert!(matches!(parse(&["outage=2"]), Err(FaultPlanError::Outage(_))));
        assert!(matches!(parse(&["hang=9..9"]), Err(FaultPlanError::Range { .. })));
        assert!(matches!(parse(&["hang=a..9"]), Err(FaultPlanError::Range { .. })));
        assert!(matches!(parse(&["refuse_401=1..9"]), Err(FaultPlanError::NoWindow(_))));
        let window = |from, to| EpochRange::new(Epoch::new(from), Epoch::new(to));
        let plan = parse(&["hang=100..200"]).unwrap();
        assert_eq!(plan.of_call(1, 1, window(199, 300)), Some(Fault::Hang));
        assert_eq!(plan.of_call(1, 1, window(200, 300)), None);
    }

    #[test]
    fn names_are_unique_and_lead_back() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_name(fault.name()), Some(*fault));
        }
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed_and_about_right() {
        let plan = FaultPlan::none().with_chance(Fault::Drop, 0.1);
        let hits = |seed| {
            (1..=5000).filter(|n| plan.of_call(seed, *n, None).is_some()).collect::<Vec<u64>>()
        };
        assert_eq!(hits(1), hits(1));
        assert_ne!(hits(1), hits(2));
        assert!((400..600).contains(&hits(1).len()), "{}", hits(1).len());
    }

    #[test]
    fn scripts_hit_their_call_and_poisoned_windows_stay_poisoned() {
        let plan = FaultPlan::one_shot(Fault::Garbage, 3);
        let hits: Vec<u64> = (1..10).filter(|n| plan.of_call(1, *n, None).is_some()).collect();
        assert_eq!(hits, [3]);
        assert_eq!(plan.of_connection(1, 3), None);

        let range = |a, b| EpochRange::new(Epoch::new(a), Epoch::new(b));
        let plan = FaultPlan::none().touching(Fault::CallError, range(100, 200).unwrap());
        assert_eq!(plan.of_call(1, 9, range(150, 160)), Some(Fault::CallError));
        assert_eq!(plan.of_call(1, 9, range(200, 260)), None);
    }
}
