//! How the simulated exchange behaves; the default is faithful, all traps on.

use std::time::Duration;

use crate::domain::{Epoch, Symbol};

use super::clock::SimClock;
use super::fault::FaultPlan;
use super::quirk::Quirks;
use super::replay::Replay;
use super::world::World;

/// What the exchange serves and how it misbehaves.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Decides every price, hole, irregular tick and random fault.
    pub seed: u64,
    /// The exchange's own clock.
    pub clock: SimClock,
    /// Most rows of one history answer, applied silently; `None` is 1,000 on the `v1` surface and
    /// 5,000 on the legacy one.
    pub page_cap: Option<u32>,
    /// How far back history reaches from now.
    pub wall: Duration,
    /// What a window that straddles the wall is answered with.
    pub straddle: Straddle,
    /// How many calls are allowed.
    pub limits: Limits,
    /// Wait before each answer; several answers may wait at once.
    pub latency: Duration,
    /// Whether the synthetic feed has its short silent stretches.
    pub holes: bool,
    /// Which faults happen, and when.
    pub faults: FaultPlan,
    /// How all its answers differ from the API as it is known.
    pub quirks: Quirks,
    /// What happens to symbols, rows, clock and wall over the months.
    pub world: World,
    /// Only these symbols (and the replayed ones) are listed; `None` lists all.
    pub listed: Option<Vec<Symbol>>,
    /// Recorded ticks, each in the place of the symbol it names.
    pub replays: Vec<Replay>,
    /// The token `authorize` accepts on the legacy surface; `None` accepts any well-formed one.
    pub token: Option<String>,
}

/// What a window across the wall is answered with; nobody has reported which is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Straddle {
    /// Only its part younger than the wall.
    #[default]
    YoungerPart,
    /// The newest data instead of it, as for a window wholly behind the wall.
    Substitute,
}

/// Sliding windows over all calls of all connections but `ping` and `time`; `None` is unlimited.
///
/// Refused calls count too, so hammering on keeps the door shut.
///
/// Source: published limits, 220 a minute and 14,400 an hour over "all other calls".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls in any 60 s.
    pub per_minute: Option<u32>,
    /// Calls in any 3,600 s.
    pub per_hour: Option<u32>,
    /// A stricter limit in any 60 s that `website_status` does not admit, as users have met.
    pub hidden: Option<u32>,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self { per_minute: None, per_hour: None, hidden: None };
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_minute: Some(220), per_hour: Some(14_400), hidden: None }
    }
}

impl Default for SimulatorConfig {
    /// Faithful: the published limits, the wall at 365 days, holes on, no faults, and a clock
    /// frozen at 2026-03-15T12:00:00Z so that a test never depends on the day it runs.
    fn default() -> Self {
        Self {
            seed: 1,
            clock: SimClock::frozen(Epoch::new(1_773_576_000)),
            page_cap: None,
            wall: Duration::from_secs(365 * 86_400),
            straddle: Straddle::default(),
            limits: Limits::default(),
            latency: Duration::ZERO,
            holes: true,
            faults: FaultPlan::none(),
            quirks: Quirks::NONE,
            world: World::quiet(),
            listed: None,
            replays: Vec::new(),
            token: None,
        }
    }
}
