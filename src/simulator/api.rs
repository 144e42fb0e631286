//! The exchange's answers: a pure function of the request, the session, the moment and the seed.

use serde_json::{Map, Value};

use super::catalogue;
use super::config::SimulatorConfig;
use super::fault::{Fault, Stage};
use super::history::{self, HistoryRequest, Terms};
use super::live::{Feed, Stream, stream_id, tick};
use super::log::Outcome;
use super::market::{InstrumentId, Market};
use super::price;
use super::quirk::{Quirk, Quirks};
use super::reply::{ApiError, Asker, Reply};
use super::validate::{self, Surface};

/// Everything an answer depends on that never changes.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) market: Market,
    pub(super) config: SimulatorConfig,
}

/// What an answer needs to know of its connection.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) surface: Surface,
    /// From 1 in the order of acceptance.
    pub(super) connection: u32,
    pub(super) streams: Vec<Stream>,
    /// Number of stream ids given out.
    pub(super) n_ids: u64,
    /// Whether every `authorize` is refused here.
    pub(super) refuses_token: bool,
}

impl Session {
    /// A session that has just begun.
    pub(super) fn new(surface: Surface, connection: u32, refuses_token: bool) -> Self {
        Self { surface, connection, streams: Vec::new(), n_ids: 0, refuses_token }
    }
}

/// A request whose call is known; `unknown` stands for everything else.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) body: Map<String, Value>,
}

/// What to send, what to remember, what to change in the session.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) replies: Vec<Reply>,
    pub(super) outcome: Outcome,
    pub(super) effect: Effect,
}

/// How an answer changes its session.
#[derive(Debug, Default)]
pub(super) struct Effect {
    pub(super) opened: Vec<Stream>,
    pub(super) closed: Vec<String>,
}

impl Answer {
    fn of(reply: Reply, rows: usize) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Self {
            replies: vec![reply],
            outcome: Outcome::Answered { rows },
            effect: Effect::default(),
        }
    }

    /// An in-band refusal of `call`.
    pub(super) fn error(call: &Call, error: &ApiError) -> Self {
        let msg_type = match call.name {
            "unknown" => "error",
            "ticks" => "tick",
            name => name,
        };
        Self {
            replies: vec![Reply::error(&Asker::of(&call.body), msg_type, error)],
            outcome: Outcome::Error(error.code),
            effect: Effect::default(),
        }
    }
}

impl Call {
    /// Reads one text message, or says why it is no request at all.
    pub(super) fn read(surface: Surface, text: &str) -> Result<Self, ApiError> {
        let Ok(Value::Object(body)) = serde_json::from_str::<Value>(text) else {
            return Err(ApiError::new("BadRequest", "The request is not a JSON object."));
        };
        let name = validate::call_name(surface, &body).unwrap_or("unknown");
        Ok(Self { name, body })
    }

    /// Refuses the call for its frequency.
    pub(super) fn refused(&self) -> Answer {
        let message = format!("You have reached the rate limit for {}.", self.name);
        Answer::error(self, &ApiError::new("RateLimit", message))
    }
}

/// Answers a call at `now`, spoiled by `fault` if there is one.
pub(super) fn answer(
    exchange: &Exchange,
    session: &Session,
    call: &Call,
    now: i64,
    fault: Option<Fault>,
) -> Answer {
    if let Some(error) = fault.and_then(error_of) {
        return Answer::error(call, &error);
    }
    let quirks = exchange.config.quirks;
    let other = match fault {
        Some(Fault::OtherWindow) => Some(of_other_window(call)),
        _ if quirks.has(Quirk::AnyGranularity) => with_some_width(call),
        _ => None,
    };
    let call = other.as_ref().unwrap_or(call);
    let mut answer = match checked(exchange, session, call, now, fault) {
        Ok(answer) => answer,
        Err(error) => Answer::error(call, &error),
    };
    if let Some(fault) = fault.filter(|fault| fault.stage() == Stage::Envelope) {
        answer.replies.iter_mut().for_each(|reply| reply.spoil(fault));
    }
    // What these two faults do now and then, the quirks do always.
    for (quirk, fault) in
        [(Quirk::NeverEchoes, Fault::NoEcho), (Quirk::NeverNumbers, Fault::NoReqId)]
    {
        if quirks.has(quirk) {
            answer.replies.iter_mut().for_each(|reply| reply.spoil(fault));
        }
    }
    answer
}

/// The same request for minutes, if it asks for candles of a width there is none of.
fn with_some_width(call: &Call) -> Option<Call> {
    let width = HistoryRequest::read(&call.body).granularity?;
    let is_known = crate::domain::Granularity::ALL.iter().any(|known| i64::from(*known) == width);
    let mut other = call.clone();
    other.body.insert("granularity".to_owned(), Value::from(60));
    (!is_known).then_some(other)
}

/// Tells whether a quirk makes the exchange forget that it knows a call.
fn is_forgotten(name: &str, quirks: Quirks) -> bool {
    match name {
        "ping" => quirks.has(Quirk::NoPing),
        "trading_times" => quirks.has(Quirk::NoTradingTimes),
        _ => false,
    }
}

/// The same request for the window just before the one it asks for.
fn of_other_window(call: &Call) -> Call {
    let mut other = call.clone();
    let HistoryRequest { start, end, .. } = HistoryRequest::read(&call.body);
    if let (Some(start), Some(end)) = (start, end) {
        let length = end - start + 1;
        other.body.insert("start".to_owned(), Value::from(start - length));
        other.body.insert("end".to_owned(), Value::from((end - length).to_string()));
    }
    other
}

fn checked(
    exchange: &Exchange,
    session: &Session,
    call: &Call,
    now: i64,
    fault: Option<Fault>,
) -> Result<Answer, ApiError> {
    let quirks = exchange.config.quirks;
    if call.name == "unknown" || is_forgotten(call.name, quirks) {
        return Err(ApiError::new("UnrecognisedRequest", "Unrecognised request"));
    }
    validate::check(session.surface, call.name, &call.body).map_err(invalid)?;
    let asker = Asker::of(&call.body);
    let text = |name: &str| call.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let plain = |msg_type, json: String| Ok(Answer::of(Reply::new(&asker, msg_type, json), 0));
    let market = &exchange.market;
    match call.name {
        "ping" => plain("ping", "\"pong\"".to_owned()),
        "time" => plain("time", (now + exchange.config.world.clock_error_at(now)).to_string()),
        "active_symbols" => {
            let is_full = text("active_symbols") == "full";
            plain(
                "active_symbols",
                catalogue::active_symbols(market, session.surface, now, is_full, quirks),
            )
        }
        "trading_times" => {
            let date = text("trading_times");
            let times = catalogue::trading_times(market, session.surface, date, now);
            let invalid = || ApiError::new("InvalidDateFormat", "Invalid date format.");
            plain("trading_times", times.ok_or_else(invalid)?)
        }
        "website_status" => {
            plain("website_status", catalogue::website_status(&exchange.config.limits))
        }
        "authorize" => {
            let is_wrong = |token: &str| token != text("authorize");
            if session.refuses_token || exchange.config.token.as_deref().is_some_and(is_wrong) {
                // The worst a server can do: it repeats what it was given.
                let message = format!("The token {} is invalid.", text("authorize"));
                return Err(ApiError::new("InvalidToken", message));
            }
            plain("authorize", catalogue::account())
        }
        "forget" => Ok(forget(session, &asker, text("forget"))),
        "forget_all" => Ok(forget_all(session, &asker, &call.body["forget_all"])),
        "ticks" => ticks(exchange, session, call, &asker, now),
        _ => ticks_history(exchange, session, call, &asker, now, fault),
    }
}

fn invalid(invalid: validate::Invalid) -> ApiError {
    let details = invalid.property.map(|name| serde_json::json!({ name: "Invalid value." }));
    ApiError { details, ..ApiError::new("InputValidationFailed", invalid.message) }
}

/// The error that a fault of that stage puts in the place of the answer.
fn error_of(fault: Fault) -> Option<ApiError> {
    let sorry = "Sorry, an error occurred while processing your request.";
    let (code, message) = match fault {
        Fault::RateLimit => ("RateLimit", "You have reached the rate limit for ticks_history."),
        Fault::InternalError => ("InternalServerError", sorry),
        Fault::CallError => ("CallError", sorry),
        Fault::WrongResponse => ("WrongResponse", sorry),
        Fault::Timeout => ("Timeout", "Timeout"),
        Fault::OutputValidationFailed => ("OutputValidationFailed", "Output validation failed."),
        Fault::ResponseTooLarge => ("ResponseTooLarge", "Response too large."),
        Fault::UnknownCode => ("FluxCapacitorDrained", "The flux capacitor is drained."),
        Fault::HostileError => ("\u{1b}]0;owned\u{7}", HOSTILE_TEXT),
        Fault::TokenExpired => ("InvalidToken", "The token has expired."),
        _ => return None,
    };
    Some(ApiError::new(code, message))
}

/// Clears a screen, moves up, turns red, rings, turns the direction of writing, and ends a line.
pub(super) const HOSTILE_TEXT: &str =
    "\u{1b}[2J\u{1b}[1A\u{1b}[31mall is well\u{7}\u{202e}\r\nerror: \u{0}\u{9b}2J";

fn find(exchange: &Exchange, symbol: &str, now: i64) -> Result<InstrumentId, ApiError> {
    exchange
        .market
        .find(symbol)
        .filter(|id| exchange.market.life(*id).is_listed(now))
        .ok_or_else(|| ApiError::new("InvalidSymbol", format!("Symbol {symbol} is invalid.")))
}

fn check_open(exchange: &Exchange, id: InstrumentId, now: i64) -> Result<(), ApiError> {
    if exchange.market.instrument(id).hours.is_open(now) {
        return Ok(());
    }
    Err(ApiError::about("MarketIsClosed", "This market is presently closed.", "symbol"))
}

fn ticks_history(
    exchange: &Exchange,
    session: &Session,
    call: &Call,
    asker: &Asker,
    now: i64,
    fault: Option<Fault>,
) -> Result<Answer, ApiError> {
    let mut request = HistoryRequest::read(&call.body);
    request.candles ^= fault == Some(Fault::OtherStyle);
    let quirks = exchange.config.quirks;
    let found = find(exchange, &request.symbol, now);
    if quirks.has(Quirk::UnknownEmpty) && found.is_err() {
        let (name, nothing) = history::nothing(&request);
        return Ok(Answer::of(Reply::new(asker, name, nothing.to_owned()), 0));
    }
    let id = found?;
    if request.subscribe {
        check_open(exchange, id, now)?;
    }
    let rows = history::rows(
        &exchange.market,
        id,
        &request,
        &exchange.terms(session.surface, now),
        fault,
    )?;
    let (name, json) = rows.render(exchange.market.instrument(id).decimals, fault);
    let told = exchange.market.life(id).page_decimals;
    let decimals = told.unwrap_or_else(|| exchange.market.decimals_at(id, now));
    let pip_size = match quirks.has(Quirk::StepAsDecimals) {
        true => price::short(1, decimals),
        false => decimals.to_string(),
    };
    let mut reply = Reply::new(asker, name, json).with("pip_size", pip_size);
    let mut effect = Effect::default();
    if request.subscribe {
        let feed = if request.candles { Feed::Candles(request.width()) } else { Feed::Ticks };
        let stream = open(exchange, session, id, feed, asker, now, 0)?;
        reply = reply.with_subscription(&stream.id);
        effect.opened.push(stream);
    }
    Ok(Answer { effect, ..Answer::of(reply, rows.len()) })
}

impl Exchange {
    /// What the exchange imposes on a history request at `now`.
    fn terms(&self, surface: Surface, now: i64) -> Terms {
        let default_cap = match surface {
            Surface::V1 => 1000,
            Surface::Legacy => 5000,
        };
        let reach = i64::try_from(self.config.wall.as_secs()).unwrap_or(i64::MAX);
        Terms {
            now,
            wall: now.saturating_sub(reach).max(0) + self.config.world.wall_jumps_at(now),
            cap: self.config.page_cap.unwrap_or(default_cap),
            straddle: self.config.straddle,
            quirks: self.config.quirks,
        }
    }
}

/// A new stream, the `place`th of this answer, unless there is one like it.
fn open(
    exchange: &Exchange,
    session: &Session,
    instrument: InstrumentId,
    feed: Feed,
    asker: &Asker,
    now: i64,
    place: u64,
) -> Result<Stream, ApiError> {
    let is_twin = |stream: &Stream| stream.instrument == instrument && stream.feed == feed;
    if session.streams.iter().any(is_twin) {
        let symbol = &exchange.market.instrument(instrument).symbol;
        let message = format!("You are already subscribed to {symbol}.");
        return Err(ApiError::new("AlreadySubscribed", message));
    }
    let id = stream_id(exchange.config.seed, session.connection, session.n_ids + place);
    Ok(Stream { id, instrument, feed, sent: now, asker: asker.clone() })
}

fn ticks(
    exchange: &Exchange,
    session: &Session,
    call: &Call,
    asker: &Asker,
    now: i64,
) -> Result<Answer, ApiError> {
    let asked = &call.body["ticks"];
    let symbols: Vec<&str> = match asked.as_array() {
        Some(list) => list.iter().filter_map(Value::as_str).collect(),
        None => asked.as_str().into_iter().collect(),
    };
    let subscribe = call.body.contains_key("subscribe");
    let mut answer = Answer {
        replies: Vec::new(),
        outcome: Outcome::Answered { rows: 0 },
        effect: Effect::default(),
    };
    for (place, symbol) in (0..).zip(symbols) {
        let id = find(exchange, symbol, now)?;
        check_open(exchange, id, now)?;
        let stream = if subscribe {
            Some(open(exchange, session, id, Feed::Ticks, asker, now, place)?)
        } else {
            None
        };
        let Some(row) = exchange.market.latest(id, now) else { continue };
        let stream_id = stream.as_ref().map(|stream| stream.id.as_str());
        let mut reply = tick(asker, &exchange.market, id, row, stream_id);
        if let Some(id) = stream_id {
            reply = reply.with_subscription(id);
        }
        answer.replies.push(reply);
        answer.effect.opened.extend(stream);
    }
    let rows = u32::try_from(answer.replies.len()).unwrap_or(u32::MAX);
    Ok(Answer { outcome: Outcome::Answered { rows }, ..answer })
}

fn forget(session: &Session, asker: &Asker, id: &str) -> Answer {
    let known = session.streams.iter().any(|stream| stream.id == id);
    let mut answer = Answer::of(Reply::new(asker, "forget", u8::from(known).to_string()), 0);
    answer.effect.closed.push(id.to_owned());
    answer
}

fn forget_all(session: &Session, asker: &Asker, types: &Value) -> Answer {
    let named = |name: &str| {
        types == name || types.as_array().is_some_and(|list| list.iter().any(|item| item == name))
    };
    let (ticks, candles) = (named("ticks"), named("candles"));
    let closed: Vec<String> = session
        .streams
        .iter()
        .filter(|stream| match stream.feed {
            Feed::Ticks => ticks,
            Feed::Candles(_) => candles,
        })
        .map(|stream| stream.id.clone())
        .collect();
    let json = Value::from(closed.clone()).to_string();
    let mut answer = Answer::of(Reply::new(asker, "forget_all", json), 0);
    answer.effect.closed = closed;
    answer
}
