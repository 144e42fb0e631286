//! The assumptions, in the order in which they are shown.

macro_rules! checks {
    ($($variant:ident $name:literal $assumed:literal)*) => {
        /// One thing that is assumed of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check { $(#[doc = $assumed] $variant,)* }

        impl Check {
            /// Every check, in the order of the report.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in reports; lasts.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What is assumed.
            pub fn assumed(self) -> &'static str {
                match self { $(Self::$variant => $assumed,)* }
            }
        }
    };
}

checks! {
    Dns "dns" "the name of the host leads to an address"
    Tcp "tcp" "the host accepts connections"
    Tls "tls" "the connection is encrypted and its certificate is good"
    Upgrade "upgrade" "the host speaks WebSocket"
    Token "token" "the API token is accepted"
    Ping "ping" "`ping` is answered"
    Time "time" "`time` is answered with an epoch"
    Clock "clock" "this machine's clock is within 2 s of the source's"
    RoundTrip "round_trip" "an answer takes less than 2 s"
    Symbols "symbols" "`active_symbols` lists symbols under the names of this API"
    Decimals "decimals" "the list tells the smallest step, a page the number of decimals"
    PageCap "page_cap" "a page has a silent cap of so many rows"
    NewestFirst "newest_first" "a full page holds the newest rows of its window"
    Order "order" "the rows of a page ascend"
    Lengths "lengths" "a page has as many prices as epochs"
    Grid "grid" "prices have no more decimals than the page says"
    Bounds "bounds" "both ends of a window are inclusive"
    Count "count" "`count` is obeyed"
    Wall "wall" "history reaches back about 365 days"
    Substitution "substitution" "behind that come the newest rows, with the asked `end` echoed"
    Straddle "straddle" "a window across that gets its younger part, or the newest rows"
    Candles "candles" "from k·g to m·g-1 come the candles k to m-1, each on its boundary"
    CandleAtEnd "candle_at_end" "an `end` on a boundary brings at most one more, which begins there"
    OpenCandle "open_candle" "the candle that is not over yet comes too"
    CutCandle "cut_candle" "a candle cut by `start` is named by it, off its boundary"
    ClosedMarket "closed_market" "a closed market is answered with no rows"
    UnknownSymbol "unknown_symbol" "an unknown symbol is `InvalidSymbol`"
    BadGranularity "bad_granularity" "a bad granularity is `InvalidGranularity` or `InputValidationFailed`"
    BadRange "bad_range" "a start after the end is `InvalidStartEnd`"
    ErrorsKeep "errors_keep_connection" "an error leaves the connection open"
    TradingTimes "trading_times" "`trading_times` tells the hours of the symbol"
    ReqId "req_id" "every answer repeats the `req_id`"
    Echo "echo_req" "every answer echoes its request"
    MsgType "msg_type" "every answer names its type"
    RateLimit "rate_limit" "these requests are not too frequent"
    Idle "idle" "a silent connection is closed after two minutes"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::ALL.len());
    }
}
