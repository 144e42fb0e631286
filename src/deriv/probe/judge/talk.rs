//! Clock, list of symbols, and the envelope around every answer.

use std::time::Duration;

use serde_json::Value;

use super::super::super::config::ApiVersion;
use super::super::super::error::printable;
use super::super::answer::{Answer, NoRows, number};
use super::super::question::Question;
use crate::domain::Judged;

/// Farther off than this, the clock of the machine misleads whoever reads its log.
const MAX_SKEW_MILLIS: i64 = 2_000;

/// A source that is farther ahead is not believed by downloads.
const MAX_AGREEING_MILLIS: i64 = 3_600_000;

/// Slower than this, a page takes longer than it should.
const SLOW: Duration = Duration::from_secs(2);

/// Epochs outside of these years are no present time.
const PLAUSIBLE: std::ops::RangeInclusive<i64> = 1_577_836_800..=4_102_444_800;

/// `ping`.
pub(in super::super) fn ping(answer: &Answer) -> Judged {
    match answer.member("ping") {
        Ok(Value::String(text)) if text == "pong" => {
            Judged::ok(format!("`pong` in {}", millis(answer.took)))
        }
        Ok(other) => Judged::differs(
            format!("`{}`", printable(&other.to_string())),
            "harmless: any answer shows that the connection lives",
        ),
        Err(why) => Judged::differs(
            why.to_string(),
            "a connection that is alive may be taken for dead where nothing else is answered",
        ),
    }
}

/// `time`: the verdict, and the epoch if there is one.
pub(in super::super) fn time(answer: &Answer) -> (Judged, Option<i64>) {
    const MEANS: &str =
        "nothing can be downloaded: without the clock of the source nothing is complete";
    let told = match answer.member("time") {
        Ok(told) => told,
        Err(why) => return (Judged::differs(why.to_string(), MEANS), None),
    };
    let epoch = told.as_i64().or_else(|| told.as_str()?.parse().ok());
    match epoch.filter(|epoch| PLAUSIBLE.contains(epoch)) {
        Some(epoch) => (Judged::ok(crate::domain::Epoch::new(epoch).to_string()), Some(epoch)),
        None => (Judged::differs(format!("`{}`", printable(&told.to_string())), MEANS), None),
    }
}

/// The clock of this machine against that of the source. The source tells whole seconds, so what it
/// told at `server` was true from `server` to before `server + 1`, some time between the two
/// local moments.
pub(in super::super) fn clock(server: i64, sent_millis: i64, received_millis: i64) -> Judged {
    let ahead_at_most = received_millis - server * 1000;
    let ahead_at_least = sent_millis - (server + 1) * 1000;
    let ahead = ahead_at_least.midpoint(ahead_at_most);
    let direction = if ahead < 0 { "behind" } else { "ahead" };
    let seen = format!("{:.1} s {direction}", ahead.abs() as f64 / 1000.0);
    if ahead_at_most < -MAX_AGREEING_MILLIS {
        return Judged::differs(
            seen,
            "the source is more than an hour ahead of this machine: while this machine's clock can \
             be right, downloads stop at its time and seal nothing; set the clock, or wait until \
             the source's is right",
        );
    }
    if ahead_at_most < -MAX_SKEW_MILLIS || ahead_at_least > MAX_SKEW_MILLIS {
        return Judged::differs(
            seen,
            "downloads use the source's clock and stay right; `status --require-through` with an \
             age uses this machine's and is off by as much: set the clock",
        );
    }
    Judged::ok(seen)
}

/// The shortest of some answers.
pub(in super::super) fn round_trip(took: &[Duration]) -> Judged {
    let Some(best) = took.iter().min() else { return Judged::skipped("nothing was answered") };
    let worst = took.iter().max().unwrap_or(best);
    let seen = format!("{} to {}", millis(*best), millis(*worst));
    match *best < SLOW {
        true => Judged::ok(seen),
        false => {
            Judged::differs(seen, "a download waits more than it works; raise `--concurrency`")
        }
    }
}

/// `12 ms`, `1.5 s`.
pub(in super::super) fn millis(took: Duration) -> String {
    if took < Duration::from_millis(1) {
        "under 1 ms".to_owned()
    } else if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

/// One symbol of the list, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Listed {
    pub(in super::super) symbol: String,
    pub(in super::super) market: String,
    pub(in super::super) step: Option<f64>,
    pub(in super::super) is_open: bool,
}

/// The members of a symbol that are looked for: the name, and the step.
fn member_names(api: ApiVersion) -> (&'static str, &'static str) {
    match api {
        ApiVersion::V1 => ("underlying_symbol", "pip_size"),
        ApiVersion::Legacy => ("symbol", "pip"),
    }
}

/// `active_symbols`: the verdict, and what is listed under whichever names.
pub(in super::super) fn symbols(
    answer: &Answer,
    api: ApiVersion,
    wanted: &str,
) -> (Judged, Vec<Listed>) {
    let rows = match answer.member("active_symbols").map(Value::as_array) {
        Ok(Some(rows)) => rows,
        Ok(None) => return (Judged::differs("no list", LIST_MEANS), Vec::new()),
        Err(why) => return (Judged::differs(why.to_string(), LIST_MEANS), Vec::new()),
    };
    let listed: Vec<_> = rows.iter().filter_map(listed).collect();
    let (name, step) = member_names(api);
    let has = |row: &&Value, member: &str| row.get(member).is_some();
    let n_expected = rows.iter().filter(|row| has(row, name) && has(row, step)).count();
    let n_open = listed.iter().filter(|one| one.is_open).count();
    let judged = if rows.is_empty() {
        Judged::differs("no symbol at all", LIST_MEANS)
    } else if n_expected < rows.len() {
        let seen = format!("{} of {} symbols have `{name}` and `{step}`", n_expected, rows.len());
        Judged::differs(
            seen,
            "symbols without a known name are left out, those without a step are estimated",
        )
    } else if listed.iter().all(|one| one.symbol != wanted) {
        let seen = format!("{} symbols, `{}` not among them", rows.len(), printable(wanted));
        Judged::differs(
            seen,
            "choose another one with `--symbol`; `titan-download symbols` lists them",
        )
    } else {
        Judged::ok(format!("{} symbols, {n_open} of them open", rows.len()))
    };
    (judged, listed)
}

const LIST_MEANS: &str = "nothing can be downloaded: every symbol would count as not offered";

fn listed(row: &Value) -> Option<Listed> {
    let text = |names: [&str; 2]| {
        names.iter().find_map(|name| row.get(name)?.as_str().filter(|text| !text.is_empty()))
    };
    let flag = |name: &str| row.get(name).and_then(number) == Some(1.0);
    Some(Listed {
        symbol: text(["underlying_symbol", "symbol"])?.to_owned(),
        market: text(["market", "market"]).unwrap_or_default().to_owned(),
        step: ["pip_size", "pip"].iter().find_map(|name| row.get(name).and_then(number)),
        is_open: flag("exchange_is_open") && !flag("is_trading_suspended"),
    })
}

/// `trading_times`.
pub(in super::super) fn trading_times(answer: &Answer, symbol: &str) -> Judged {
    const MEANS: &str = "closed hours are known from the symbol alone, and gaps in them are \
                         classed less finely";
    let times = match answer.member("trading_times") {
        Ok(times) => times,
        Err(why) => return Judged::differs(why.to_string(), MEANS),
    };
    let mut n_symbols = 0_usize;
    let mut found = None;
    let lists = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned();
    for market in lists(times, "markets").unwrap_or_default() {
        for part in lists(&market, "submarkets").unwrap_or_default() {
            for row in lists(&part, "symbols").unwrap_or_default() {
                n_symbols += 1;
                let names = ["underlying_symbol", "symbol"];
                let is_it =
                    names.iter().any(|name| row.get(name).and_then(Value::as_str) == Some(symbol));
                if is_it {
                    found = Some(row.get("times").cloned().unwrap_or_default());
                }
            }
        }
    }
    match found {
        Some(times) if times.get("open").is_some() && times.get("close").is_some() => {
            let short = |name: &str| printable(&times[name].to_string());
            Judged::ok(format!(
                "{n_symbols} symbols; open {}, close {}",
                short("open"),
                short("close")
            ))
        }
        Some(_) => Judged::differs("the symbol has no opening times", MEANS),
        None => Judged::differs(format!("{n_symbols} symbols, this one not among them"), MEANS),
    }
}

/// What the envelopes of all answers had, counted as they come.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Envelopes {
    n: usize,
    without_number: usize,
    other_number: usize,
    without_echo: usize,
    other_echo: usize,
    without_type: usize,
    other_types: Vec<String>,
}

impl Envelopes {
    /// Looks at one answer to `question`, sent as `request` under the number `req_id`.
    pub(in super::super) fn look(
        &mut self,
        question: &Question,
        request: &Value,
        req_id: u64,
        answer: &Answer,
    ) {
        self.n += 1;
        match answer.value.get("req_id") {
            None => self.without_number += 1,
            Some(number) if number.as_u64() != Some(req_id) => self.other_number += 1,
            Some(_) => {}
        }
        match answer.value.get("echo_req").and_then(Value::as_object) {
            None => self.without_echo += 1,
            Some(echo) => {
                let text =
                    |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let differs = |(name, asked): (&String, &Value)| {
                    echo.get(name).is_none_or(|echoed| text(echoed) != text(asked))
                };
                let is_other = request.as_object().is_some_and(|asked| asked.iter().any(differs));
                self.other_echo += usize::from(is_other);
            }
        }
        let is_refused = answer.refusal().is_some();
        match answer.value.get("msg_type").and_then(Value::as_str) {
            None => self.without_type += 1,
            Some(named) if !is_refused && named != question.expects() => {
                let pair = format!("`{}` for `{}`", printable(named), question.expects());
                if !self.other_types.contains(&pair) {
                    self.other_types.push(pair);
                }
            }
            Some(_) => {}
        }
    }

    /// `req_id`.
    pub(in super::super) fn numbers(&self) -> Judged {
        const MEANS: &str = "answers cannot be told apart: run with `--concurrency 1`";
        let Self { n, without_number, other_number, .. } = *self;
        match (n, without_number + other_number) {
            (0, _) => Judged::skipped("nothing was answered"),
            (_, 0) => Judged::ok(format!("in all {n} answers")),
            _ => Judged::differs(
                format!("of {n} answers {without_number} have none, {other_number} another one"),
                MEANS,
            ),
        }
    }

    /// `echo_req`.
    pub(in super::super) fn echoes(&self) -> Judged {
        let Self { n, without_echo, other_echo, .. } = *self;
        match (n, without_echo + other_echo) {
            (0, _) => Judged::skipped("nothing was answered"),
            (_, 0) => Judged::ok(format!("in all {n} answers")),
            _ => Judged::differs(
                format!("of {n} answers {without_echo} have none, {other_echo} another one"),
                match other_echo {
                    0 => "harmless: a mixed-up answer is then noticed by its rows alone",
                    _ => "answers whose echo differs in symbol, window or style are thrown away",
                },
            ),
        }
    }

    /// `msg_type`.
    pub(in super::super) fn types(&self) -> Judged {
        let Self { n, without_type, .. } = *self;
        if n == 0 {
            return Judged::skipped("nothing was answered");
        }
        if without_type == 0 && self.other_types.is_empty() {
            return Judged::ok(format!("in all {n} answers"));
        }
        let mut seen = self.other_types.clone();
        if without_type > 0 {
            seen.push(format!("none in {without_type} of {n} answers"));
        }
        Judged::differs(seen.join(", "), "matters only for answers without `req_id`")
    }
}

/// Whether errors left the connection open.
pub(in super::super) fn errors_keep(n_kept: u32, n_lost: u32) -> Judged {
    match (n_kept, n_lost) {
        (0, 0) => Judged::skipped("no error was answered before another request"),
        (kept, 0) => Judged::ok(format!("after {kept} of {kept}")),
        (kept, lost) => Judged::differs(
            format!("{lost} of {} errors were followed by the loss of the connection", kept + lost),
            "each refusal costs a new connection; downloads go on, more slowly",
        ),
    }
}

/// How long a silent connection lived.
pub(in super::super) fn idle(
    closed_after: Option<Duration>,
    limit: Duration,
    ping_every: Duration,
) -> Judged {
    const ABOUT_TWO_MINUTES: std::ops::RangeInclusive<u64> = 100..=140;
    match closed_after {
        Some(after) if ABOUT_TWO_MINUTES.contains(&after.as_secs()) => {
            Judged::ok(format!("closed after {} s", after.as_secs()))
        }
        Some(after) if after > ping_every => Judged::differs(
            format!("closed after {} s", after.as_secs()),
            format!("harmless: a ping goes out every {} s", ping_every.as_secs()),
        ),
        Some(after) => Judged::differs(
            format!("closed after {} s", after.as_secs()),
            "idle connections are lost between two pings, and dialled again",
        ),
        None => Judged::differs(format!("still open after {} s", limit.as_secs()), "harmless"),
    }
}

/// What a page that was refused says of its symbol.
pub(in super::super) fn unusable(why: &NoRows) -> Judged {
    Judged::failed(why.to_string(), "choose another symbol with `--symbol`, or read the refusal")
}
