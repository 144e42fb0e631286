//! The request schemas, and the strict check of a request against them.
//!
//! Source: the published request schemas of both surfaces (`additionalProperties: false`).

use serde_json::{Map, Value};

/// The two forms of the API, told apart by the path of the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// `/trading/v1/options/ws/public`.
    V1,
    /// `/websockets/v3?app_id=N`.
    Legacy,
}

/// What a property may hold.
#[derive(Debug, Clone, Copy)]
enum Check {
    Integer,
    Between(i64, i64),
    IntegerOf(&'static [i64]),
    TextOf(&'static [&'static str]),
    Text(fn(&str) -> bool),
    Object,
    ListOf(&'static [&'static str]),
    TextOrList(fn(&str) -> bool),
    TextsOf(&'static [&'static str]),
    TextList(fn(&str) -> bool),
}

/// One property of a request.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    required: bool,
    check: Check,
}

const fn must(name: &'static str, check: Check) -> Field {
    Field { name, required: true, check }
}

const fn may(name: &'static str, check: Check) -> Field {
    Field { name, required: false, check }
}

/// Allowed in every request.
const COMMON: [Field; 2] = [may("passthrough", Check::Object), may("req_id", Check::Integer)];

const ONE: Check = Check::IntegerOf(&[1]);
const ZERO_OR_ONE: Check = Check::IntegerOf(&[0, 1]);
const GRANULARITIES: Check =
    Check::IntegerOf(&[60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400]);

const PING: &[Field] = &[must("ping", ONE)];
const TIME: &[Field] = &[must("time", ONE)];
const FORGET: &[Field] = &[must("forget", Check::Text(is_stream_id))];
const TRADING_TIMES: &[Field] = &[must("trading_times", Check::Text(is_date))];
const WEBSITE_STATUS: &[Field] = &[must("website_status", ONE), may("subscribe", ZERO_OR_ONE)];
const TICKS: &[Field] = &[must("ticks", Check::TextOrList(is_symbol)), may("subscribe", ONE)];
const TICKS_HISTORY: &[Field] = &[
    must("ticks_history", Check::Text(is_symbol)),
    must("end", Check::Text(is_end)),
    may("adjust_start_time", ONE),
    may("count", Check::Integer),
    may("granularity", GRANULARITIES),
    may("start", Check::Between(0, 9_999_999_999)),
    may("style", Check::TextOf(&["candles", "ticks"])),
    may("subscribe", ONE),
];
const AUTHORIZE: &[Field] = &[
    must("authorize", Check::Text(is_token)),
    may("add_to_login_history", ZERO_OR_ONE),
    may("tokens", Check::TextList(is_token)),
];
const V1_ACTIVE_SYMBOLS: &[Field] = &[
    must("active_symbols", Check::TextOf(&["full", "brief"])),
    may("contract_type", Check::ListOf(CONTRACT_TYPES)),
];
const LEGACY_ACTIVE_SYMBOLS: &[Field] = &[
    must("active_symbols", Check::TextOf(&["full", "brief"])),
    may("barrier_category", Check::ListOf(BARRIERS)),
    may("contract_type", Check::ListOf(CONTRACT_TYPES)),
    may("landing_company", Check::TextOf(COMPANIES)),
    may("landing_company_short", Check::TextOf(COMPANIES)),
    may("product_type", Check::TextOf(&["basic"])),
    may("loginid", Check::Text(is_login)),
];
const V1_FORGET_ALL: &[Field] = &[must("forget_all", Check::TextsOf(&V1_STREAMS))];
const LEGACY_FORGET_ALL: &[Field] = &[must("forget_all", Check::TextsOf(LEGACY_STREAMS))];

const V1_STREAMS: [&str; 7] = [
    "balance",
    "candles",
    "cashier_payments",
    "proposal",
    "proposal_open_contract",
    "ticks",
    "transaction",
];
const LEGACY_STREAMS: &[&str] = &[
    "balance",
    "candles",
    "cashier_payments",
    "p2p_advert",
    "p2p_advertiser",
    "p2p_order",
    "proposal",
    "proposal_open_contract",
    "ticks",
    "transaction",
    "trading_platform_asset_listing",
    "website_status",
    "p2p_settings",
    "crypto_estimations",
];
const BARRIERS: &[&str] =
    &["american", "asian", "euro_atm", "euro_non_atm", "non_financial", "lookback", "reset"];
const COMPANIES: &[&str] = &["iom", "malta", "maltainvest", "svg", "virtual", "vanuatu"];
const CONTRACT_TYPES: &[&str] = &[
    "HIGHER",
    "LOWER",
    "MULTUP",
    "MULTDOWN",
    "UPORDOWN",
    "EXPIRYRANGE",
    "ONETOUCH",
    "CALLE",
    "LBHIGHLOW",
    "ASIAND",
    "EXPIRYRANGEE",
    "DIGITDIFF",
    "DIGITMATCH",
    "DIGITOVER",
    "PUTE",
    "DIGITUNDER",
    "NOTOUCH",
    "CALL",
    "RANGE",
    "LBFLOATPUT",
    "DIGITODD",
    "PUT",
    "ASIANU",
    "LBFLOATCALL",
    "EXPIRYMISSE",
    "EXPIRYMISS",
    "DIGITEVEN",
    "TICKHIGH",
    "TICKLOW",
    "RESETCALL",
    "RESETPUT",
    "CALLSPREAD",
    "PUTSPREAD",
    "RUNHIGH",
    "RUNLOW",
    "ACCU",
    "VANILLALONGCALL",
    "VANILLALONGPUT",
    "TURBOSLONG",
    "TURBOSSHORT",
];

/// Every call of a surface with its properties.
fn schemas(surface: Surface) -> &'static [(&'static str, &'static [Field])] {
    match surface {
        Surface::V1 => &[
            ("ticks_history", TICKS_HISTORY),
            ("time", TIME),
            ("ping", PING),
            ("active_symbols", V1_ACTIVE_SYMBOLS),
            ("ticks", TICKS),
            ("trading_times", TRADING_TIMES),
            ("forget", FORGET),
            ("forget_all", V1_FORGET_ALL),
        ],
        Surface::Legacy => &[
            ("ticks_history", TICKS_HISTORY),
            ("time", TIME),
            ("ping", PING),
            ("active_symbols", LEGACY_ACTIVE_SYMBOLS),
            ("ticks", TICKS),
            ("trading_times", TRADING_TIMES),
            ("forget", FORGET),
            ("forget_all", LEGACY_FORGET_ALL),
            ("website_status", WEBSITE_STATUS),
            ("authorize", AUTHORIZE),
        ],
    }
}

/// The name of the call a request makes, or `None` if this surface knows none of its properties.
pub(super) fn call_name(surface: Surface, body: &Map<String, Value>) -> Option<&'static str> {
    schemas(surface).iter().map(|(name, _)| *name).find(|name| body.contains_key(*name))
}

/// What is wrong with a request: a sentence, and which property if it is a known one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) message: String,
    pub(super) property: Option<&'static str>,
}

/// Checks a request against the schema of its call.
pub(super) fn check(
    surface: Surface,
    call: &str,
    body: &Map<String, Value>,
) -> Result<(), Invalid> {
    let fields = schemas(surface)
        .iter()
        .find(|(name, _)| *name == call)
        .map_or(&[][..], |(_, fields)| *fields);
    let known = |name: &str| fields.iter().chain(&COMMON).any(|field| field.name == name);
    let strange: Vec<&str> = body.keys().map(String::as_str).filter(|name| !known(name)).collect();
    if !strange.is_empty() {
        let names = strange.join(", ");
        let message = format!("Input validation failed: Properties not allowed: {names}.");
        return Err(Invalid { message, property: None });
    }
    for field in fields.iter().chain(&COMMON) {
        let is_good = match body.get(field.name) {
            Some(value) => field.check.passes(value),
            None => !field.required,
        };
        if !is_good {
            let message = format!("Input validation failed: {}", field.name);
            return Err(Invalid { message, property: Some(field.name) });
        }
    }
    Ok(())
}

impl Check {
    fn passes(self, value: &Value) -> bool {
        let all = |test: &dyn Fn(&str) -> bool| {
            value
                .as_array()
                .is_some_and(|list| list.iter().all(|item| item.as_str().is_some_and(test)))
        };
        let one = |test: &dyn Fn(&str) -> bool| value.as_str().is_some_and(test);
        match self {
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Between(low, high) => value.as_i64().is_some_and(|n| (low..=high).contains(&n)),
            Self::IntegerOf(allowed) => value.as_i64().is_some_and(|n| allowed.contains(&n)),
            Self::TextOf(allowed) => one(&|text| allowed.contains(&text)),
            Self::Text(test) => one(&test),
            Self::Object => value.is_object(),
            Self::ListOf(allowed) => all(&|text| allowed.contains(&text)),
            Self::TextOrList(test) => one(&test) || all(&test),
            Self::TextsOf(allowed) => {
                one(&|text| allowed.contains(&text)) || all(&|text| allowed.contains(&text))
            }
            Self::TextList(test) => {
                all(&test) && value.as_array().is_some_and(|list| list.len() <= 25)
            }
        }
    }
}

fn is_word(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.chars().count())
        && text.chars().all(|sign| sign.is_alphanumeric() || sign == '_')
}

fn is_symbol(text: &str) -> bool {
    is_word(text, 2..=30)
}

fn is_stream_id(text: &str) -> bool {
    is_word(&text.replace('-', "_"), 32..=128)
}

fn is_token(text: &str) -> bool {
    is_word(&text.replace('-', "_"), 1..=128)
}

fn is_end(text: &str) -> bool {
    text == "latest" || (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_date(text: &str) -> bool {
    let digits = |part: &str, length: std::ops::RangeInclusive<usize>| {
        length.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts: Vec<&str> = text.split('-').collect();
    text == "today"
        || matches!(parts[..], [y, m, d] if digits(y, 4..=4) && digits(m, 1..=2) && digits(d, 1..=2))
}

fn is_login(text: &str) -> bool {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = &text.as_bytes()[letters..];
    letters > 0 && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(surface: Surface, request: &str) -> Result<(), String> {
        let Value::Object(body) = serde_json::from_str(request).unwrap() else {
            panic!("no object")
        };
        let call = call_name(surface, &body).ok_or("unrecognised")?;
        check(surface, call, &body).map_err(|invalid| invalid.message)
    }

    fn refused(surface: Surface, request: &str, expected: &str) {
        let error = validate(surface, request).unwrap_err();
        assert!(error.contains(expected), "{request}: {error}");
    }

    #[test]
    fn accepts_the_strict_forms() {
        for request in [
            r#"{"ticks_history":"R_100","start":1,"end":"2","count":5000,"style":"ticks","req_id":7}"#,
            r#"{"ticks_history":"R_100","end":"latest","granularity":60,"passthrough":{"a":1}}"#,
            r#"{"active_symbols":"brief"}"#,
            r#"{"ticks":["R_50","R_100"],"subscribe":1}"#,
            r#"{"forget_all":["ticks","candles"]}"#,
            r#"{"trading_times":"2026-03-07"}"#,
        ] {
            assert_eq!(validate(Surface::V1, request), Ok(()), "{request}");
            assert_eq!(validate(Surface::Legacy, request), Ok(()), "{request}");
        }
        let request = r#"{"active_symbols":"brief","product_type":"basic"}"#;
        assert_eq!(validate(Surface::Legacy, request), Ok(()));
    }

    #[test]
    fn refuses_what_the_schemas_do_not_allow() {
        let v1 = Surface::V1;
        refused(
            v1,
            r#"{"active_symbols":"brief","product_type":"basic"}"#,
            "Properties not allowed: product_type.",
        );
        refused(v1, r#"{"ticks_history":"R_100"}"#, "end");
        refused(v1, r#"{"ticks_history":"R_100","end":5}"#, "end");
        refused(v1, r#"{"ticks_history":"R_100","end":"5","granularity":61}"#, "granularity");
        refused(v1, r#"{"ticks_history":"R_100","end":"5","start":"1"}"#, "start");
        refused(v1, r#"{"ticks_history":"R_100","end":"5","style":"bars"}"#, "style");
        refused(v1, r#"{"ticks_history":"R/1","end":"5"}"#, "ticks_history");
        refused(v1, r#"{"ticks_history":"R_100","end":"5","req_id":"x"}"#, "req_id");
        refused(v1, r#"{"ping":2}"#, "ping");
        refused(v1, r#"{"website_status":1}"#, "unrecognised");
        refused(Surface::Legacy, r#"{"authorize":"a b"}"#, "authorize");
        refused(Surface::Legacy, r#"{"website_statuses":1}"#, "unrecognised");
    }
}
