//! Where history begins, and what is answered behind it.

use super::super::answer::{NoRows, Refusal};
use super::super::question::Window;
use super::rows;
use crate::domain::Judged;

/// Days in which the beginning of history is expected.
const ABOUT_A_YEAR: std::ops::RangeInclusive<i64> = 350..=380;

/// Most windows that are asked to find it.
pub(in super::super) const MAX_ASKS: u32 = 8;

/// Nothing older is looked for.
const OLDEST_DAYS: i64 = 20 * 365;

/// Where the rows of an answer lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// All of them inside the window; so many.
    Inside(usize),
    /// There are none.
    Empty,
    /// The newest there are, from outside the window.
    Newest,
    /// From outside the window, and not the newest.
    Elsewhere {
        /// The newest of them.
        to: i64,
    },
    /// The request was refused.
    Refused(Refusal),
    /// The answer cannot be read.
    Odd(String),
}

impl Place {
    /// Says where the rows of an answer lie; rows younger than `newest_from` are the newest.
    pub(in super::super) fn of(
        epochs: Result<Vec<i64>, NoRows>,
        window: &Window,
        newest_from: i64,
    ) -> Self {
        let epochs = match epochs {
            Ok(epochs) => epochs,
            Err(NoRows::Refused(refusal)) => return Self::Refused(refusal),
            Err(NoRows::Odd(why)) => return Self::Odd(why),
        };
        match epochs.iter().max() {
            None => Self::Empty,
            Some(_) if epochs.iter().all(|epoch| window.contains(*epoch)) => {
                Self::Inside(epochs.len())
            }
            Some(to) if *to >= newest_from => Self::Newest,
            Some(to) => Self::Elsewhere { to: *to },
        }
    }

    fn is_offered(&self) -> bool {
        matches!(self, Self::Inside(_))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inside(n) => write!(f, "{} of the window", rows(*n)),
            Self::Empty => f.write_str("no rows"),
            Self::Newest => f.write_str("the newest rows"),
            Self::Elsewhere { to } => {
                write!(f, "rows from elsewhere, up to {}", crate::domain::Epoch::new(*to))
            }
            Self::Refused(refusal) => write!(f, "refused with {refusal}"),
            Self::Odd(why) => f.write_str(why),
        }
    }
}

/// Looks for the day with which history begins. Rows of a recent page are known, so one day back
/// is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Search {
    /// Days back that are offered.
    offered: i64,
    /// Days back that are not.
    refused: Option<i64>,
    n_asked: u32,
    /// Days around a year that are tried first.
    first: [i64; 2],
}

impl Search {
    /// Expects history to begin between these two ages.
    pub(in super::super) fn new(first: [i64; 2]) -> Self {
        Self { offered: 1, refused: None, n_asked: 0, first }
    }

    /// How many days back to ask next; `None` when enough is known.
    pub(in super::super) fn next(&self) -> Option<i64> {
        let [younger, older] = self.first;
        let width = older - younger;
        match self.refused {
            _ if self.n_asked == 0 => Some(younger),
            _ if self.n_asked >= MAX_ASKS => None,
            None if self.offered == younger => Some(older),
            None if self.offered >= OLDEST_DAYS => None,
            None => Some((self.offered * 2).min(OLDEST_DAYS)),
            Some(refused) if refused - self.offered <= width => None,
            Some(refused) => Some(self.offered.midpoint(refused)),
        }
    }

    /// Takes in what was answered for so many days back.
    pub(in super::super) fn learn(&mut self, days: i64, place: &Place) {
        self.n_asked += 1;
        match place.is_offered() {
            true => self.offered = days,
            false => self.refused = Some(days),
        }
    }

    /// Days back between which history begins: offered, not offered.
    pub(in super::super) fn found(&self) -> Option<(i64, i64)> {
        self.refused.map(|refused| (self.offered, refused))
    }

    /// The verdict.
    pub(in super::super) fn judge(&self) -> Judged {
        let Some((offered, refused)) = self.found() else {
            return Judged::differs(
                format!("{} days back are still offered", self.offered),
                "more than a year can be downloaded; `--months` may be larger",
            );
        };
        let seen = format!("it begins between {offered} and {refused} days back");
        if ABOUT_A_YEAR.contains(&offered) && ABOUT_A_YEAR.contains(&refused) {
            return Judged::ok(seen);
        }
        match refused < *ABOUT_A_YEAR.start() || offered < *ABOUT_A_YEAR.start() {
            true => {
                Judged::differs(seen, "less is on offer than expected; download soon and often")
            }
            false => Judged::differs(seen, "more than a year can be downloaded"),
        }
    }
}

/// What was answered behind the beginning; `echoed_end` is the `end` that the answer repeats.
pub(in super::super) fn substitution(
    place: &Place,
    asked_end: i64,
    echoed_end: Option<i64>,
) -> Judged {
    match place {
        Place::Newest => match echoed_end {
            Some(echoed) if echoed != asked_end => Judged::differs(
                format!("the newest rows, with the end {echoed} echoed"),
                "the answer admits another window: it is refused as that of another request",
            ),
            Some(_) => Judged::ok("the newest rows, the asked end echoed"),
            None => Judged::ok("the newest rows, no end echoed"),
        },
        Place::Inside(_) => Judged::skipped("history does not end where it was asked"),
        Place::Empty => Judged::differs(
            place.to_string(),
            "the beginning of history cannot be told from silence: old months stay in doubt",
        ),
        Place::Elsewhere { .. } => Judged::differs(
            place.to_string(),
            "rows from outside the window are thrown away all the same",
        ),
        Place::Refused(_) | Place::Odd(_) => Judged::differs(
            place.to_string(),
            "months behind the beginning count as failed instead of not offered",
        ),
    }
}

/// What a window across the beginning was answered with.
pub(in super::super) fn straddle(place: &Place) -> Judged {
    match place {
        Place::Inside(n) => Judged::ok(format!("its younger part, {}", rows(*n))),
        Place::Newest => Judged::ok("the newest rows instead of all of it"),
        other => Judged::differs(
            other.to_string(),
            "the month in which history begins may stay incomplete",
        ),
    }
}
