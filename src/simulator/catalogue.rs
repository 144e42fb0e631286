//! What the exchange tells of itself: `active_symbols`, `trading_times`, `website_status`, `authorize`.

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::config::Limits;
use super::instruments::Instrument;
use super::market::Market;
use super::price;
use super::quirk::{Quirk, Quirks};
use super::validate::Surface;

/// The list of symbols in the shape of the surface.
pub(super) fn active_symbols(
    market: &Market,
    surface: Surface,
    now: i64,
    is_full: bool,
    quirks: Quirks,
) -> String {
    let n_listed = if quirks.has(Quirk::NoSymbols) { 0 } else { usize::MAX };
    let list: Vec<Value> = market
        .listed(now)
        .enumerate()
        .take(n_listed)
        .map(|(order, (id, instrument))| {
            let told = market.life(id).list_decimals;
            let step = step(told.unwrap_or_else(|| market.decimals_at(id, now)), quirks);
            if surface == Surface::V1 {
                return v1_symbol(instrument, &step, now);
            }
            let mut entry = legacy_symbol(instrument, order, &step, now);
            if is_full {
                add_full(&mut entry, market.latest(id, now), instrument, now);
            }
            entry
        })
        .collect();
    Value::from(list).to_string()
}

/// The smallest step, `0.01`; an exact power of ten as JSON.
fn step(decimals: u8, quirks: Quirks) -> Value {
    if quirks.has(Quirk::DecimalsAsStep) {
        return Value::from(decimals);
    }
    let text = price::short(1, decimals);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn v1_symbol(instrument: &Instrument, step: &Value, now: i64) -> Value {
    json!({
        "exchange_is_open": u8::from(instrument.hours.is_open(now)),
        "is_trading_suspended": 0,
        "market": instrument.market.0,
        "pip_size": step,
        "subgroup": subgroup(instrument).0,
        "submarket": instrument.submarket.0,
        "trade_count": 0,
        "underlying_symbol": instrument.symbol,
        "underlying_symbol_name": instrument.name,
        "underlying_symbol_type": "",
    })
}

fn legacy_symbol(instrument: &Instrument, order: usize, step: &Value, now: i64) -> Value {
    json!({
        "allow_forward_starting": 1,
        "display_name": instrument.name,
        "display_order": order + 1,
        "exchange_is_open": u8::from(instrument.hours.is_open(now)),
        "is_trading_suspended": 0,
        "market": instrument.market.0,
        "market_display_name": instrument.market.1,
        "pip": step,
        "subgroup": subgroup(instrument).0,
        "subgroup_display_name": subgroup(instrument).1,
        "submarket": instrument.submarket.0,
        "submarket_display_name": instrument.submarket.1,
        "symbol": instrument.symbol,
        "symbol_type": instrument.symbol_type(),
    })
}

fn add_full(entry: &mut Value, latest: Option<price::Row>, instrument: &Instrument, now: i64) {
    entry["exchange_name"] = Value::from("SIM");
    entry["delay_amount"] = Value::from(0);
    entry["intraday_interval_minutes"] = Value::from(1);
    entry["quoted_currency_symbol"] = Value::from("USD");
    let spot = latest.map(|row| price::short(row.pips, instrument.decimals));
    entry["spot"] = spot.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
    let epoch = latest.map_or(now, |row| row.epoch);
    entry["spot_time"] = Value::from(epoch.to_string());
    entry["spot_age"] = Value::from((now - epoch).to_string());
}

fn subgroup(instrument: &Instrument) -> (&'static str, &'static str) {
    match (instrument.market.0, instrument.submarket.0) {
        (_, "forex_basket") => ("baskets", "Baskets"),
        ("synthetic_index", _) => ("synthetics", "Synthetics"),
        _ => ("none", "None"),
    }
}

/// Opening hours of one day; `None` if `date` is no day of the calendar.
pub(super) fn trading_times(
    market: &Market,
    surface: Surface,
    date: &str,
    now: i64,
) -> Option<String> {
    let epoch = if date == "today" {
        now
    } else {
        let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        day.and_hms_opt(0, 0, 0)?.and_utc().timestamp()
    };
    let mut markets: Vec<Value> = Vec::new();
    for (_, instrument) in market.listed(now) {
        let submarkets = entry(&mut markets, instrument.market.1, "submarkets");
        let symbols = entry(submarkets, instrument.submarket.1, "symbols");
        symbols.push(symbol_times(instrument, surface, epoch));
    }
    Some(json!({ "markets": markets }).to_string())
}

/// The list `member` of the object called `name`, made if it is not there.
fn entry<'a>(list: &'a mut Vec<Value>, name: &str, member: &str) -> &'a mut Vec<Value> {
    let place = list.iter().position(|known| known["name"] == name).unwrap_or_else(|| {
        list.push(json!({ "name": name, member: [] }));
        list.len() - 1
    });
    list[place][member].as_array_mut().expect("made as a list above")
}

/// Both surfaces call the name `name`, and the symbol each in its own way.
fn symbol_times(instrument: &Instrument, surface: Surface, epoch: i64) -> Value {
    let hours = instrument.hours;
    let (opens, closes): (Vec<&str>, Vec<&str>) = hours.of_day(epoch).iter().copied().unzip();
    let events = hours.events().iter();
    let events: Vec<Value> =
        events.map(|(dates, descrip)| json!({ "dates": dates, "descrip": descrip })).collect();
    let mut times = json!({
        "events": events,
        "name": instrument.name,
        "times": { "open": opens, "close": closes, "settlement": closes.last() },
        "trading_days": hours.trading_days(),
    });
    let symbol = match surface {
        Surface::V1 => "underlying_symbol",
        Surface::Legacy => "symbol",
    };
    times[symbol] = Value::from(instrument.symbol.as_str());
    times
}

/// Status and published limits; the hidden limit stays hidden.
pub(super) fn website_status(limits: &Limits) -> String {
    const UNLIMITED: u32 = 1_000_000_000;
    json!({
        "api_call_limits": {
            "max_proposal_subscription": {
                "applies_to": "subscribing to proposal concurrently", "max": 5,
            },
            "max_requestes_general": {
                "applies_to": "rest of calls",
                "hourly": limits.per_hour.unwrap_or(UNLIMITED),
                "minutely": limits.per_minute.unwrap_or(UNLIMITED),
            },
            "max_requests_outcome": {
                "applies_to": "portfolio, statement and proposal", "hourly": 1500, "minutely": 30,
            },
            "max_requests_pricing": {
                "applies_to": "proposal and proposal_open_contract", "hourly": 36_000, "minutely": 360,
            },
        },
        "currencies_config": {
            "USD": {
                "fractional_digits": 2, "is_deposit_suspended": 0, "is_suspended": 0,
                "is_withdrawal_suspended": 0, "name": "US Dollar", "stake_default": 10,
                "transfer_between_accounts": { "fees": {}, "limits": { "min": 1 } },
                "type": "fiat",
            },
        },
        "site_status": "up",
        "supported_languages": ["EN"],
    })
    .to_string()
}

/// The account every accepted token belongs to.
pub(super) fn account() -> String {
    json!({
        "account_list": [],
        "balance": 10_000,
        "country": "",
        "currency": "USD",
        "email": "",
        "fullname": "",
        "is_virtual": 1,
        "landing_company_fullname": "Simulated Exchange",
        "landing_company_name": "virtual",
        "loginid": "VRTC1",
        "scopes": ["read"],
    })
    .to_string()
}
