//! Asks the API raw and holds each answer against what is assumed of it.
//!
//! Nothing of `convert` is used here: what the client would correct, drop or ask again is what is
//! looked for. [`probe`] drives; every judgement is a pure function in `judge`.
//!
//! | file | what lives there |
//! |---|---|
//! | `check` | the assumptions, each with its name |
//! | `link` | one raw connection: a question, its answer, and how long it took |
//! | `question` | what is asked |
//! | `answer` | JSON as it came, read without any correction |
//! | `shape` | an answer cut short and made harmless, for a report |
//! | `judge` | answer → verdict |
//! | `drive`, `course` | what is asked in which order, within the budget |

mod answer;
mod check;
mod course;
mod drive;
mod judge;
mod link;
mod question;
mod shape;

use std::sync::Arc;
use std::time::Duration;

use super::config::DerivConfig;
use super::net::Connect;
use crate::domain::{Epoch, Probe, Symbol};

pub use self::check::Check;

/// Most requests of one examination, `ping`, `time` and authorization included.
pub const MAX_REQUESTS: u32 = 30;

/// Reads the clock of this machine, in milliseconds since 1970.
pub type LocalClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How the API is examined.
#[derive(Clone)]
pub struct ProbePlan {
    /// With which symbol.
    pub symbol: Symbol,
    /// Whether two and a half minutes may be spent on a silent connection.
    pub is_long: bool,
    /// Pause before each request but the first.
    pub pace: Duration,
    /// The clock that is held against that of the source.
    pub clock: LocalClock,
}

/// What an examination found.
#[derive(Debug, Clone, PartialEq)]
pub struct Examination {
    /// One row for each [`Check`], in their order.
    pub probes: Vec<Probe>,
    /// Requests sent.
    pub n_requests: u32,
    /// The clock of the source, as it was first told.
    pub server_time: Option<Epoch>,
    /// Whether the source answered anything at all.
    pub is_reached: bool,
}

/// Examines the API that `config` names. `tell` hears what is looked at next.
///
/// At most [`MAX_REQUESTS`] requests; a refusal as too frequent ends it.
pub async fn probe<C: Connect>(
    config: &DerivConfig,
    connector: &C,
    plan: &ProbePlan,
    tell: &(dyn Fn(Check) + Sync),
) -> Examination {
    course::run(config, connector, plan, tell).await
}
