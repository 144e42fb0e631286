//! Live streams: `tick` and `ohlc` messages of one connection.

use serde_json::json;

use super::market::{InstrumentId, Market};
use super::price::{self, Row};
use super::reply::{Asker, Reply};
use super::walk::{Draw, hash};

/// Most messages of one stream at one time; after a leap of the clock the older ones are left out.
const MAX_BURST: usize = 1000;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    Ticks,
    /// Candles of this width in seconds.
    Candles(i64),
}

/// One subscription.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) id: String,
    pub(super) instrument: InstrumentId,
    pub(super) feed: Feed,
    /// Last second whose tick was sent.
    pub(super) sent: i64,
    pub(super) asker: Asker,
}

impl Stream {
    /// The messages due up to `now`, oldest first.
    pub(super) fn messages(&mut self, market: &Market, now: i64) -> Vec<String> {
        let rows = market.newest_ticks(self.instrument, self.sent + 1, now, now, MAX_BURST);
        self.sent = self.sent.max(now);
        rows.iter().map(|row| self.message(market, *row).render()).collect()
    }

    fn message(&self, market: &Market, row: Row) -> Reply {
        let reply = match self.feed {
            Feed::Ticks => tick(&self.asker, market, self.instrument, row, Some(&self.id)),
            Feed::Candles(width) => self.ohlc(market, row, width),
        };
        reply.with_subscription(&self.id)
    }

    /// The candle that is open at `row`, as it stands then; prices are strings here.
    fn ohlc(&self, market: &Market, row: Row, width: i64) -> Reply {
        let open_time = market.grid(self.instrument, width).floor(row.epoch);
        let (id, epoch) = (self.instrument, row.epoch);
        let bars = market.newest_candles(id, open_time, epoch, width, epoch, 1);
        let bar = bars.first().expect("the tick itself is in this candle");
        let (decimals, step) = (market.decimals_at(id, epoch), market.step_at(id, epoch));
        let text = |pips: i64| price::full(pips / step, decimals);
        let member = json!({
            "close": text(bar.close),
            "epoch": row.epoch,
            "granularity": width,
            "high": text(bar.high),
            "id": self.id,
            "low": text(bar.low),
            "open": text(bar.open),
            "open_time": open_time,
            "pip_size": decimals,
            "symbol": market.instrument(id).symbol,
        });
        Reply::new(&self.asker, "ohlc", member.to_string())
    }
}

/// A `tick` message.
pub(super) fn tick(
    asker: &Asker,
    market: &Market,
    of: InstrumentId,
    row: Row,
    id: Option<&str>,
) -> Reply {
    let instrument = market.instrument(of);
    let step = market.step_at(of, row.epoch);
    let number = |pips: i64| price::short(pips, instrument.decimals);
    let id = id.map_or(String::new(), |id| format!("\"id\":\"{id}\","));
    // Half a pip of spread cannot be written, so a whole one on each side.
    let member = format!(
        "{{\"ask\":{},\"bid\":{},\"epoch\":{},{id}\"pip_size\":{},\"quote\":{},\"symbol\":\"{}\"}}",
        number(row.pips + step),
        number((row.pips - step).max(step)),
        row.epoch,
        market.decimals_at(of, row.epoch),
        number(row.pips),
        instrument.symbol,
    );
    Reply::new(asker, "tick", member)
}

/// An id in the form of the real ones, unique within its connection.
pub(super) fn stream_id(seed: u64, connection: u32, number: u64) -> String {
    let place = (i64::from(connection) << 32) + number.cast_signed();
    let (a, b) = (hash(seed, Draw::Bridge, place), hash(seed, Draw::Anchor, place));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xFFFF,
        a & 0xFFFF,
        b >> 48,
        b & 0xFFFF_FFFF_FFFF
    )
}
