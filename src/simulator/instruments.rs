//! What the simulated exchange lists: one table of symbols with their decimals, cadence and hours.
//!
//! Decimals and cadence follow the symbol table of the public API notes; names and markets are
//! close enough to the real ones for a program that shows them.

use std::sync::Arc;

use super::hours::Hours;
use super::price::{Row, pips_per_unit};
use super::replay::Replay;

/// Most decimals a price may have; more would not fit beside a large price.
pub(super) const MOST_DECIMALS: u8 = 9;

/// When quotes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cadence {
    /// One tick every so many seconds (1 or 2), on multiples of it.
    Every(i64),
    /// At most one tick a second, at moments nobody can predict.
    Irregular,
}

/// How the price moves.
#[derive(Debug, Clone)]
pub(super) enum Model {
    /// Geometric Brownian motion, so much volatility a year (`1.0` is 100 %).
    Geometric { volatility: f64 },
    /// A calm walk with a spike about every `every` ticks, up or down, and drift the other way.
    Spiked { every: u32, up: bool },
    /// A walk that jumps either way about three times an hour.
    Jumpy { volatility: f64 },
    /// One pip up or down at each tick.
    Steps,
    /// Recorded ticks, ascending; nothing else exists.
    Recorded(Arc<[Row]>),
}

/// One listed symbol.
#[derive(Debug, Clone)]
pub(super) struct Instrument {
    pub(super) symbol: String,
    /// Under which name its prices are drawn; a symbol that is renamed goes on.
    pub(super) path: String,
    pub(super) name: String,
    /// Market code and its name for people.
    pub(super) market: (&'static str, &'static str),
    /// Submarket code and its name for people.
    pub(super) submarket: (&'static str, &'static str),
    /// Number of decimals in its quotes; the most it ever has.
    pub(super) decimals: u8,
    pub(super) cadence: Cadence,
    pub(super) hours: Hours,
    pub(super) model: Model,
    /// Price it keeps returning to.
    pub(super) base: f64,
}

const SYNTHETIC: (&str, &str) = ("synthetic_index", "Derived");
const RANDOM: (&str, &str) = ("random_index", "Continuous Indices");
const CRASH: (&str, &str) = ("crash_index", "Crash/Boom Indices");
const JUMP: (&str, &str) = ("jump_index", "Jump Indices");
const STEP: (&str, &str) = ("step_index", "Step Indices");
const FOREX: (&str, &str) = ("forex", "Forex");
const MAJOR: (&str, &str) = ("major_pairs", "Major Pairs");
const COMMODITIES: (&str, &str) = ("commodities", "Commodities");
const METALS: (&str, &str) = ("metals", "Metals");
const CRYPTO: (&str, &str) = ("cryptocurrency", "Cryptocurrencies");
const COINS: (&str, &str) = ("non_stable_coin", "Cryptocurrencies");
const INDICES: (&str, &str) = ("indices", "Stock Indices");
const AMERICAS: (&str, &str) = ("americas_OTC", "American indices");
const BASKETS: (&str, &str) = ("forex_basket", "Forex Basket");

impl Instrument {
    fn synthetic(
        symbol: &str,
        name: String,
        submarket: (&'static str, &'static str),
        decimals: u8,
        step: i64,
        model: Model,
        base: f64,
    ) -> Self {
        Self {
            symbol: symbol.to_owned(),
            path: symbol.to_owned(),
            name,
            market: SYNTHETIC,
            submarket,
            decimals,
            cadence: Cadence::Every(step),
            hours: Hours::Always,
            model,
            base,
        }
    }

    fn irregular(
        symbol: &str,
        name: &str,
        places: [(&'static str, &'static str); 2],
        decimals: u8,
        hours: Hours,
        volatility: f64,
        base: f64,
    ) -> Self {
        Self {
            symbol: symbol.to_owned(),
            path: symbol.to_owned(),
            name: name.to_owned(),
            market: places[0],
            submarket: places[1],
            decimals,
            cadence: Cadence::Irregular,
            hours,
            model: Model::Geometric { volatility },
            base,
        }
    }

    /// Makes its prices in more decimals.
    pub(super) fn refine(&mut self, decimals: u8) {
        let finer = pips_per_unit(decimals - self.decimals);
        if let (Model::Recorded(rows), true) = (&mut self.model, finer > 1) {
            let pips = |row: &Row| Row { pips: row.pips.saturating_mul(finer), ..*row };
            *rows = rows.iter().map(pips).collect();
        }
        self.decimals = decimals;
    }

    /// Tells whether the short holes of the synthetic feed show in this symbol.
    pub(super) fn has_holes(&self) -> bool {
        matches!(self.cadence, Cadence::Every(_)) && !matches!(self.model, Model::Recorded(_))
    }

    /// The last part of `symbol_type` in the legacy list.
    pub(super) fn symbol_type(&self) -> &'static str {
        match (self.market.0, self.submarket.0) {
            (_, "forex_basket") => "forex_basket",
            ("synthetic_index", _) => "stockindex",
            (other, _) => other,
        }
    }
}

/// Every symbol the exchange can list, before replays take their places.
pub(super) fn all() -> Vec<Instrument> {
    let mut list = volatility_indices();
    list.extend(spiked_and_stepped());
    list.extend(session_markets());
    list
}

/// Puts recorded ticks in the place of the symbol they name, or at the end of the list.
pub(super) fn install(list: &mut Vec<Instrument>, replay: &Replay) {
    let model = Model::Recorded(replay.rows().into());
    let symbol = replay.symbol().as_str();
    if let Some(known) = list.iter_mut().find(|known| known.symbol == symbol) {
        known.model = model;
        known.decimals = replay.decimals();
        return;
    }
    let name = format!("{symbol} (recorded)");
    list.push(Instrument::synthetic(symbol, name, RANDOM, replay.decimals(), 1, model, 1.0));
}

fn volatility_indices() -> Vec<Instrument> {
    let two_seconds =
        [(10, 3, 6000.0), (25, 3, 2500.0), (50, 4, 250.0), (75, 4, 35_000.0), (100, 2, 1000.0)];
    let one_second = [
        (10, 9000.0),
        (15, 12_000.0),
        (25, 60_000.0),
        (30, 7000.0),
        (50, 200_000.0),
        (75, 6000.0),
        (90, 15_000.0),
        (100, 1500.0),
        (150, 8000.0),
        (250, 20_000.0),
    ];
    let geometric = |percent: i32| Model::Geometric { volatility: f64::from(percent) / 100.0 };
    let mut list: Vec<Instrument> = two_seconds
        .iter()
        .map(|&(percent, decimals, base)| {
            let (symbol, name) = (format!("R_{percent}"), format!("Volatility {percent} Index"));
            Instrument::synthetic(&symbol, name, RANDOM, decimals, 2, geometric(percent), base)
        })
        .collect();
    list.extend(one_second.iter().map(|&(percent, base)| {
        let symbol = format!("1HZ{percent}V");
        let name = format!("Volatility {percent} (1s) Index");
        Instrument::synthetic(&symbol, name, RANDOM, 2, 1, geometric(percent), base)
    }));
    list
}

fn spiked_and_stepped() -> Vec<Instrument> {
    let spiked = [("300N", 300), ("500", 500), ("1000", 1000)];
    let mut list = Vec::new();
    for (up, word, name) in [(true, "BOOM", "Boom"), (false, "CRASH", "Crash")] {
        list.extend(spiked.iter().map(|&(suffix, every)| {
            let symbol = format!("{word}{suffix}");
            let model = Model::Spiked { every, up };
            Instrument::synthetic(
                &symbol,
                format!("{name} {every} Index"),
                CRASH,
                3,
                1,
                model,
                6000.0,
            )
        }));
    }
    list.extend([10, 25, 50, 75, 100].map(|percent: i32| {
        let model = Model::Jumpy { volatility: f64::from(percent) / 100.0 };
        let name = format!("Jump {percent} Index");
        Instrument::synthetic(&format!("JD{percent}"), name, JUMP, 2, 1, model, 40_000.0)
    }));
    let name = "Step Index 100".to_owned();
    list.push(Instrument::synthetic("stpRNG", name, STEP, 1, 1, Model::Steps, 8000.0));
    list
}

fn session_markets() -> Vec<Instrument> {
    let of = Instrument::irregular;
    let (fx, always) = (Hours::Forex, Hours::Always);
    // The basket is listed among the derived markets, yet keeps the hours of its currencies.
    let american = Hours::Weekdays;
    vec![
        of("frxEURUSD", "EUR/USD", [FOREX, MAJOR], 5, fx, 0.07, 1.1),
        of("frxGBPUSD", "GBP/USD", [FOREX, MAJOR], 5, fx, 0.08, 1.3),
        of("frxUSDJPY", "USD/JPY", [FOREX, MAJOR], 3, fx, 0.09, 150.0),
        of("frxXAUUSD", "Gold/USD", [COMMODITIES, METALS], 2, fx, 0.15, 2500.0),
        of("cryBTCUSD", "BTC/USD", [CRYPTO, COINS], 3, always, 0.6, 60_000.0),
        of("cryETHUSD", "ETH/USD", [CRYPTO, COINS], 5, always, 0.6, 3000.0),
        of("OTC_SPC", "US 500", [INDICES, AMERICAS], 2, american, 0.15, 5500.0),
        of("WLDAUD", "AUD Basket", [SYNTHETIC, BASKETS], 3, fx, 0.08, 1000.0),
    ]
}
