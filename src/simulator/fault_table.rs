//! The table of faults: what each is called, what it does, and where it bites.

/// At which point of a call a fault bites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The upgrade of a connection is refused.
    Upgrade,
    /// The answer is right but does not arrive as it should.
    Transport,
    /// The rows of the answer are spoiled.
    Page,
    /// The frame around the rows is spoiled.
    Envelope,
    /// An error takes the place of the answer.
    Error,
}

macro_rules! faults {
    ($($stage:ident { $($variant:ident $name:literal $text:literal)* })*) => {
        /// One way to go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Fault { $($(#[doc = $text] $variant,)*)* }

        impl Fault {
            /// Every fault, in the order of the help text.
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)*)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $($(Self::$variant => $name,)*)* }
            }

            /// What it does, in one line.
            pub fn description(self) -> &'static str {
                match self { $($(Self::$variant => $text,)*)* }
            }

            pub(super) fn stage(self) -> Stage {
                match self { $($(Self::$variant => Stage::$stage,)*)* }
            }
        }
    };
}

faults! {
    Transport {
        Hang "hang" "never answers"
        Slow "slow" "answers after 3 s"
        Drop "drop" "closes the connection instead of answering"
        DropMidFrame "drop_mid_frame" "writes half of the frame, then closes the connection"
        TcpReset "tcp_reset" "resets the connection instead of answering"
        Garbage "garbage" "answers with text that is not JSON"
        Truncated "truncated" "answers with the first half of the JSON in a whole frame"
        Binary "binary" "answers in a binary frame"
        Late "late" "answers after another answer, or after 2 s"
        Doubled "doubled" "answers twice"
        HugeFrame "huge_frame" "answers with 64 MiB of text"
        DeepJson "deep_json" "answers with 100,000 nested arrays"
        InvalidUtf8 "invalid_utf8" "answers in a text frame that is no UTF-8"
        EmptyFrame "empty_frame" "answers with an empty text frame"
        Fragments "fragments" "answers in many small pieces of one frame (legal)"
        Stall "stall" "stops answering on this connection, pings too, and leaves it open"
        CloseAway "close_away" "closes the connection with code 1001 instead of answering"
        ClosePolicy "close_policy" "closes with code 1008 and a reason full of terminal escapes"
        Deploy "deploy" "tells everybody `updating`, answers, and cuts every connection 2 s later"
    }
    Envelope {
        WrongReqId "wrong_req_id" "answers with a `req_id` nobody sent"
        NoReqId "no_req_id" "answers without `req_id`"
        NoEcho "no_echo" "answers without `echo_req` (legal)"
        WrongSymbolEcho "wrong_symbol_echo" "echoes another symbol than was asked for"
        WrongPipSize "wrong_pip_size" "answers with a `pip_size` one too small"
        HighPipSize "high_pip_size" "answers with a `pip_size` one too large"
        MissingHistory "missing_history" "answers without the rows' member"
        NullHistory "null_history" "answers with `null` in the place of the rows"
        OtherAnswer "other_answer" "answers with the time, under the number of the request"
    }
    Page {
        ShortPage "short_page" "answers with the newest rows of the window only"
        NewestPart "newest_part" "answers with the newest 60 % of the rows only"
        Silent "silent" "answers in good form with no rows although there are some"
        Substitute "substitute" "answers with the newest rows of all instead of the window"
        Unsorted "unsorted" "swaps two rows"
        DuplicateRows "duplicate_rows" "sends a row twice"
        ConflictingRows "conflicting_rows" "sends a row twice, the second time with another price"
        FutureRows "future_rows" "appends a row from the future"
        UnequalLengths "unequal_lengths" "sends fewer prices than times"
        NullPrice "null_price" "sends `null` as a price"
        NanPrice "nan_price" "sends `NaN` as a price, which is not JSON"
        NegativePrice "negative_price" "sends a price below zero"
        ZeroPrice "zero_price" "sends a price of zero"
        InfinitePrice "infinite_price" "sends 1e999 as a price"
        HugePrice "huge_price" "sends a price of 30 digits"
        LongPrice "long_price" "sends prices with 300 zeros behind their decimals (legal)"
        StringPrices "string_prices" "sends prices as strings (legal)"
        MissingPrices "missing_prices" "sends times without prices"
        StringEpochs "string_epochs" "sends epochs as strings (legal)"
        FloatEpochs "float_epochs" "sends epochs as `1773576000.0` (legal)"
        HalfEpoch "half_epoch" "sends an epoch between two seconds"
        NegativeEpoch "negative_epoch" "sends an epoch before 1970"
        NullEpoch "null_epoch" "sends `null` as an epoch"
        PastRows "past_rows" "puts a row from before the window in front"
        RowBefore "row_before" "puts a row in front that lies just before the window"
        RowBehind "row_behind" "appends a row that lies just behind the window"
        OtherWindow "other_window" "answers for the window before the one asked, and echoes that"
        OtherStyle "other_style" "answers with candles instead of ticks, or the reverse"
    }
    Error {
        RateLimit "rate_limit" "refuses with `RateLimit`"
        InternalError "internal_error" "fails with `InternalServerError`"
        CallError "call_error" "fails with `CallError`"
        WrongResponse "wrong_response" "fails with `WrongResponse`"
        Timeout "timeout" "fails with `Timeout`"
        OutputValidationFailed "output_validation_failed" "fails with `OutputValidationFailed`"
        ResponseTooLarge "response_too_large" "fails with `ResponseTooLarge`"
        UnknownCode "unknown_code" "fails with a code no documentation knows"
        HostileError "hostile_error" "fails with a code and a text full of terminal escapes"
        TokenExpired "token_expired" "fails with `InvalidToken`, as when a token ends in the middle"
    }
    Upgrade {
        Refuse401 "refuse_401" "refuses the connection with HTTP 401 `InvalidAppID`"
        Refuse403 "refuse_403" "refuses the connection with HTTP 403"
        Refuse429 "refuse_429" "refuses the connection with HTTP 429"
        Refuse503 "refuse_503" "refuses the connection with HTTP 503"
        ResetUpgrade "reset_upgrade" "resets the connection instead of upgrading it"
        NeverUpgrades "never_upgrades" "accepts the connection and says nothing"
        GarbageUpgrade "garbage_upgrade" "answers the upgrade with something that is no HTTP"
        RefuseToken "refuse_token" "refuses `authorize` on this connection with `InvalidToken`"
    }
}

/// The one entry of a plan that is not a [`Fault`]: it has a time instead of a probability.
pub const OUTAGE: (&str, &str) =
    ("outage", "`outage=A+N`: from second A on, cuts and closes every connection for N seconds");

impl Fault {
    /// Finds a fault by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }
}
