//! Lasting ways in which the exchange can differ from the published and reported API.
//!
//! A fault spoils single answers; a quirk is how *every* answer is. Faults must cost a download
//! no row; quirks are for whoever has to notice that the API is not what it was taken for.

macro_rules! quirks {
    ($($variant:ident $name:literal $text:literal)*) => {
        /// One way to differ from the API as it is known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Quirk { $(#[doc = $text] $variant,)* }

        impl Quirk {
            /// Every quirk, in the order of the help text.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it does, in one line.
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

quirks! {
    ExclusiveStart "exclusive_start" "leaves out a tick at the very start of a window"
    ExclusiveEnd "exclusive_end" "leaves out a tick at the very end of a window"
    OldestFirst "oldest_first" "fills a page with the oldest rows of its window"
    Descending "descending" "sends the newest row of a page first"
    CountIgnored "count_ignored" "sends as many rows as fit, whatever `count` says"
    CountRefused "count_refused" "refuses a `count` above 5,000"
    StepAsDecimals "step_as_decimals" "says the smallest step in the `pip_size` of a page"
    DecimalsAsStep "decimals_as_step" "says the number of decimals as the step of a symbol"
    WallError "wall_error" "refuses a window behind the wall"
    WallEmpty "wall_empty" "answers a window behind the wall with no rows"
    ClosedError "closed_error" "refuses a window in which the market was closed"
    NoOpenCandle "no_open_candle" "leaves out the candle that is not over yet"
    WholeCandles "whole_candles" "sends the whole candle that a window begins inside"
    UnknownEmpty "unknown_empty" "answers for a symbol it does not know with no rows"
    AnyGranularity "any_granularity" "takes a granularity it does not know for a minute"
    CloseOnError "close_on_error" "closes the connection after each error"
    NeverEchoes "never_echoes" "answers without `echo_req`"
    NeverNumbers "never_numbers" "answers without `req_id`"
    NoSymbols "no_symbols" "lists no symbol"
    NoTradingTimes "no_trading_times" "does not know `trading_times`"
    NoPing "no_ping" "does not know `ping`"
    ShortIdle "short_idle" "closes a silent connection after one minute instead of two"
    NeverIdle "never_idle" "never closes a silent connection"
}

impl Quirk {
    /// Finds a quirk by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|quirk| quirk.name() == name)
    }
}

/// The quirks of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quirks(u64);

impl Quirks {
    /// As the API is known.
    pub const NONE: Self = Self(0);

    /// Adds one.
    #[must_use]
    pub const fn with(self, quirk: Quirk) -> Self {
        Self(self.0 | 1 << quirk as u64)
    }

    /// Tells whether it has this one.
    pub const fn has(self, quirk: Quirk) -> bool {
        self.0 & (1 << quirk as u64) != 0
    }
}

impl FromIterator<Quirk> for Quirks {
    fn from_iter<I: IntoIterator<Item = Quirk>>(quirks: I) -> Self {
        quirks.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quirk_is_its_own() {
        for quirk in Quirk::ALL {
            assert_eq!(Quirk::from_name(quirk.name()), Some(*quirk));
            let alone = Quirks::NONE.with(*quirk);
            assert_eq!(Quirk::ALL.iter().filter(|other| alone.has(**other)).count(), 1);
        }
        assert!(Quirk::ALL.len() < 64);
    }
}
