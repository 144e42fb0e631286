//! Reads what happens to the exchange from the entries of `simulate --quirk NAME=…`.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::domain::{Epoch, EpochRange, Symbol};

use super::instruments::MOST_DECIMALS;
use super::world::{EVERY_SYMBOL, World};

/// The form of each entry after its name and `=`, and what it does.
///
/// SYMBOL may be `*`; a TIME is an epoch, a day or a time of UTC; A..B is a pair of them, B exclusive.
pub const WORLD_QUIRKS: &[(&str, &str, &str)] = &[
    ("listed", "SYMBOL@TIME", "lists the symbol from TIME on, with no row before it"),
    (
        "ended",
        "SYMBOL@TIME[@LATER]",
        "has no rows of the symbol from TIME on, and knows it until LATER (TIME) only",
    ),
    ("renamed", "OLD@NEW@TIME", "calls a symbol NEW from TIME on, with the rows since then"),
    (
        "hole",
        "SYMBOL@A..[B][@FILLED]",
        "has no rows from A to before B, whatever the hours say, until the time FILLED",
    ),
    (
        "late",
        "SYMBOL@SECONDS[@A..B]",
        "shows each row so late in the history, if asked from A to before B",
    ),
    ("bars_offset", "SYMBOL@WIDTH@SECONDS", "begins bars of WIDTH so far past the UTC grid"),
    ("decimals", "SYMBOL@TIME@N", "quotes with N decimals from TIME on"),
    ("list_decimals", "SYMBOL@N", "says N decimals in the list of symbols"),
    ("page_decimals", "SYMBOL@N", "says N decimals in the `pip_size` of a page"),
    (
        "corrected",
        "SYMBOL@EPOCH@TIME[@STEPS]",
        "from TIME on the tick at EPOCH is higher by so many smallest steps (1)",
    ),
    ("clock", "SECONDS[@A..B]", "answers `time` so far ahead (-N: behind), from A to before B"),
    ("wall", "DAYS@TIME", "has so many days less of history from TIME on"),
];

/// Why an entry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// No quirk of that name takes a value.
    #[error("there is no quirk `{0}` with a value")]
    Name(String),
    /// Its parts are not those it needs.
    #[error("cannot read `{entry}`; write `{name}={form}`")]
    Form {
        /// What stands there.
        entry: String,
        /// Which quirk.
        name: &'static str,
        /// How it is written.
        form: &'static str,
    },
    /// One part is no value of its kind.
    #[error("cannot read `{entry}`: `{part}` is not {wanted}")]
    Part {
        /// What stands there.
        entry: String,
        /// The part that is wrong.
        part: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl World {
    /// Reads entries of the form `NAME=…`, as [`WORLD_QUIRKS`] lists them.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be read.
    pub fn parse(entries: &[impl AsRef<str>]) -> Result<Self, WorldError> {
        let entries = entries.iter().map(AsRef::as_ref);
        entries.into_iter().try_fold(Self::quiet(), Self::with_entry)
    }

    fn with_entry(self, entry: &str) -> Result<Self, WorldError> {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        let found = WORLD_QUIRKS.iter().find(|(known, _, _)| *known == name.trim());
        let &(name, form, _) = found.ok_or_else(|| WorldError::Name(name.trim().to_owned()))?;
        let parts: Vec<&str> = value.split('@').map(str::trim).collect();
        let read = Parts { entry };
        let symbol = || read.symbol(parts[0]);
        Ok(match (name, parts.as_slice()) {
            ("listed", [_, at]) => self.listed(symbol()?, read.time(at)?),
            ("ended", [_, at]) => self.ended(symbol()?, read.time(at)?),
            ("ended", [_, at, later]) => {
                self.ended_then_unlisted(symbol()?, read.time(at)?, read.time(later)?)
            }
            ("renamed", [_, new, at]) => self.renamed(symbol()?, read.symbol(new)?, read.time(at)?),
            ("hole", [_, range]) => self.hole(symbol()?, read.range(range)?, None),
            ("hole", [_, range, filled]) => {
                self.hole(symbol()?, read.range(range)?, Some(read.time(filled)?))
            }
            ("late", [_, secs]) => self.late(symbol()?, read.secs(secs)?, None),
            ("late", [_, secs, during]) => {
                self.late(symbol()?, read.secs(secs)?, Some(read.range(during)?))
            }
            ("bars_offset", [_, width, secs]) => {
                self.bars_offset(symbol()?, read.secs(width)?, read.secs(secs)?)
            }
            ("decimals", [_, at, n]) => self.decimals(symbol()?, read.time(at)?, read.decimals(n)?),
            ("list_decimals", [_, n]) => self.list_decimals(symbol()?, read.decimals(n)?),
            ("page_decimals", [_, n]) => self.page_decimals(symbol()?, read.decimals(n)?),
            ("corrected", [_, epoch, at]) => {
                self.corrected(symbol()?, read.time(epoch)?, read.time(at)?, 1)
            }
            ("corrected", [_, epoch, at, steps]) => {
                self.corrected(symbol()?, read.time(epoch)?, read.time(at)?, read.whole(steps)?)
            }
            ("clock", [secs]) => self.clock_error(read.whole::<i32>(secs)?.into(), None),
            ("clock", [secs, during]) => {
                self.clock_error(read.whole::<i32>(secs)?.into(), Some(read.range(during)?))
            }
            ("wall", [days, at]) => {
                let days = read.whole::<u16>(days)?;
                self.wall_jump(read.time(at)?, Duration::from_secs(u64::from(days) * 86_400))
            }
            _ => return Err(WorldError::Form { entry: entry.to_owned(), name, form }),
        })
    }
}

/// Reads the parts of one entry.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    entry: &'a str,
}

impl Parts<'_> {
    fn wrong(self, part: &str, wanted: &'static str) -> WorldError {
        WorldError::Part { entry: self.entry.to_owned(), part: part.to_owned(), wanted }
    }

    fn symbol(self, part: &str) -> Result<&str, WorldError> {
        let is_symbol = part == EVERY_SYMBOL || part.parse::<Symbol>().is_ok();
        is_symbol.then_some(part).ok_or_else(|| self.wrong(part, "a symbol like `R_100`, or `*`"))
    }

    fn time(self, part: &str) -> Result<Epoch, WorldError> {
        let day = || NaiveDate::parse_from_str(part, "%Y-%m-%d").ok();
        let epoch = part
            .parse::<u32>()
            .ok()
            .map(i64::from)
            .or_else(|| Some(day()?.and_time(NaiveTime::MIN).and_utc().timestamp()))
            .or_else(|| Some(DateTime::parse_from_rfc3339(part).ok()?.timestamp()));
        epoch.map(Epoch::new).ok_or_else(|| {
            self.wrong(part, "a time like `2026-03-07T12:00:05Z`, a day or an epoch")
        })
    }

    /// `A..B`, or `A..` for a range that never ends.
    fn range(self, part: &str) -> Result<EpochRange, WorldError> {
        const WANTED: &str = "a range of times like `2026-03-07..2026-03-09`";
        let (from, to) = part.split_once("..").ok_or_else(|| self.wrong(part, WANTED))?;
        let to = if to.is_empty() { Epoch::new(i64::MAX) } else { self.time(to)? };
        EpochRange::new(self.time(from)?, to).ok_or_else(|| self.wrong(part, WANTED))
    }

    fn secs(self, part: &str) -> Result<u32, WorldError> {
        let secs = part.parse().ok().filter(|secs| *secs <= 100 * 86_400);
        secs.ok_or_else(|| self.wrong(part, "a number of seconds"))
    }

    fn decimals(self, part: &str) -> Result<u8, WorldError> {
        let decimals = part.parse().ok().filter(|decimals| *decimals <= MOST_DECIMALS);
        decimals.ok_or_else(|| self.wrong(part, "a number of decimals from 0 to 9"))
    }

    fn whole<T: std::str::FromStr>(self, part: &str) -> Result<T, WorldError> {
        part.parse().map_err(|_| self.wrong(part, "a whole number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Epoch = Epoch::new(1_773_576_000);

    fn range(from: Epoch, to: Epoch) -> EpochRange {
        EpochRange::new(from, to).unwrap()
    }

    #[test]
    fn each_entry_is_what_its_builder_makes() {
        let check = |entry: &str, world: World| {
            assert_eq!(World::parse(&[entry]).unwrap(), world, "{entry}");
        };
        let (quiet, day) = (World::quiet, NOON.floor_to(86_400, 0));
        check("listed=R_10@2026-03-15", quiet().listed("R_10", day));
        check("ended=R_10@1773576000", quiet().ended("R_10", NOON));
        check(
            "ended=R_10@2026-03-15@2026-03-15T12:00:00Z",
            quiet().ended_then_unlisted("R_10", day, NOON),
        );
        check("renamed=R_10@N_10@2026-03-15", quiet().renamed("R_10", "N_10", day));
        let dead = range(day, Epoch::new(i64::MAX));
        check("hole=frxEURUSD@2026-03-15..", quiet().hole("frxEURUSD", dead, None));
        check(
            "hole=R_10@2026-03-15..1773576000@2026-03-15T14:00:00+02:00",
            quiet().hole("R_10", range(day, NOON), Some(NOON)),
        );
        check("late=*@2", quiet().late("*", 2, None));
        check(
            "late=R_10@1020@2026-03-15..1773576000",
            quiet().late("R_10", 1020, Some(range(day, NOON))),
        );
        check("bars_offset=R_10@86400@79200", quiet().bars_offset("R_10", 86_400, 79_200));
        check("decimals=R_10@2026-03-15@2", quiet().decimals("R_10", day, 2));
        check("list_decimals=R_10@2", quiet().list_decimals("R_10", 2));
        check("page_decimals=R_10@2", quiet().page_decimals("R_10", 2));
        check("corrected=R_10@1773576000@2026-03-15", quiet().corrected("R_10", NOON, day, 1));
        check("corrected=R_10@1773576000@2026-03-15@-7", quiet().corrected("R_10", NOON, day, -7));
        check("clock=-90", quiet().clock_error(-90, None));
        check("clock=432000@2026-03-15..", quiet().clock_error(432_000, Some(dead)));
        check("wall=3@2026-03-15", quiet().wall_jump(day, Duration::from_secs(3 * 86_400)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let check = |entry: &str, message: &str| {
            assert_eq!(World::parse(&[entry]).unwrap_err().to_string(), message);
        };
        check("lost=R_10@5", "there is no quirk `lost` with a value");
        check("listed=R_10", "cannot read `listed=R_10`; write `listed=SYMBOL@TIME`");
        check("late=a b@2", "cannot read `late=a b@2`: `a b` is not a symbol like `R_100`, or `*`");
        check(
            "decimals=R_10@2026-03-15@10",
            "cannot read `decimals=R_10@2026-03-15@10`: `10` is not a number of decimals from 0 to 9",
        );
        check(
            "hole=R_10@9..5",
            "cannot read `hole=R_10@9..5`: `9..5` is not a range of times like `2026-03-07..2026-03-09`",
        );
    }
}
