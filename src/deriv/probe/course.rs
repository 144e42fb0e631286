//! What is asked, in which order. About two dozen requests.

use std::time::Duration;

use super::answer::{Answer, Bar, NoRows, Ticks, number};
use super::check::Check;
use super::drive::Driver;
use super::judge::talk::Listed;
use super::judge::{candles, pages, refusals, talk, wall};
use super::question::{Question, WIDTH, Window};
use super::{Examination, ProbePlan};
use crate::deriv::config::{ApiVersion, DerivConfig};
use crate::deriv::net::Connect;
use crate::domain::Judged;

const DAY: i64 = 86_400;

/// More rows than any page is known to hold.
const MANY: u32 = 10_000;
/// More rows than any window here holds; the smallest page that is known.
const ENOUGH: u32 = 1_000;
/// Rows between two known ones in the test of the bounds.
const N_BETWEEN: usize = 10;
/// Candles of the aligned window.
const N_CANDLES: i64 = 30;
/// A name that no symbol has.
const NO_SYMBOL: &str = "TITAN_NONE";
/// Seconds of a candle that there are none of.
const NO_WIDTH: i64 = 61;
/// How long a connection may stay silent.
const IDLE_LIMIT: Duration = Duration::from_secs(150);

/// What was learned of the symbol on the way.
struct Subject {
    symbol: String,
    /// Whether it is quoted day and night.
    is_continuous: bool,
    is_open: bool,
    step: Option<f64>,
    /// A symbol with closed week-ends.
    session_symbol: Option<String>,
}

/// Examines the API.
pub(super) async fn run<C: Connect>(
    config: &DerivConfig,
    connector: &C,
    plan: &ProbePlan,
    tell: &(dyn Fn(Check) + Sync),
) -> Examination {
    let mut driver = Driver::new(config, connector, plan, tell);
    if driver.connect().await {
        Course { driver: &mut driver, api: config.api }.walk().await;
    }
    let (n_requests, server_time) = (driver.n_requests, driver.server_time);
    let (probes, is_reached) = driver.finish().await;
    Examination { probes, n_requests, server_time, is_reached }
}

struct Course<'d, 'a, C> {
    driver: &'d mut Driver<'a, C>,
    api: ApiVersion,
}

impl<C: Connect> Course<'_, '_, C> {
    async fn walk(&mut self) {
        if let Some(answer) = self.driver.ask(Check::Ping, &Question::Ping).await {
            self.driver.keep(Check::Ping, talk::ping(&answer));
        }
        self.time().await;
        let subject = self.symbols().await;
        let known = self.pages(&subject).await;
        self.bounds(&subject, &known).await;
        self.wall(&subject).await;
        self.candles(&subject).await;
        self.closed_market(&subject).await;
        self.refusals(&subject).await;
        if let Some(answer) = self.driver.ask(Check::TradingTimes, &Question::TradingTimes).await {
            let judged = talk::trading_times(&answer, &subject.symbol);
            self.driver.keep(Check::TradingTimes, judged);
        }
        match self.driver.plan.is_long {
            true => self.driver.fall_silent(IDLE_LIMIT).await,
            false => {
                let why = "takes two and a half minutes; ask for it with `--long`";
                self.driver.keep(Check::Idle, Judged::skipped(why));
            }
        }
    }

    async fn time(&mut self) {
        let clock = self.driver.plan.clock.clone();
        let sent = clock();
        let Some(answer) = self.driver.ask(Check::Time, &Question::Time).await else {
            return self.driver.end("the source does not tell its time");
        };
        let received = clock();
        let took = i64::try_from(answer.took.as_millis()).unwrap_or(0);
        let (judged, epoch) = talk::time(&answer);
        self.driver.keep(Check::Time, judged);
        match epoch {
            Some(epoch) => {
                self.driver.set_time(epoch);
                // The pause before the question is no part of its way.
                let sent = sent.max(received - took);
                self.driver.keep(Check::Clock, talk::clock(epoch, sent, received));
            }
            None => self.driver.end("the source does not tell its time"),
        }
    }

    async fn symbols(&mut self) -> Subject {
        let symbol = self.driver.plan.symbol.as_str().to_owned();
        let mut listed = Vec::new();
        if let Some(answer) = self.driver.ask(Check::Symbols, &Question::Symbols).await {
            let (judged, found) = talk::symbols(&answer, self.api, &symbol);
            self.driver.keep(Check::Symbols, judged);
            listed = found;
        }
        subject(symbol, &listed)
    }

    fn window(&self, subject: &Subject, start: i64, end: i64, count: u32) -> Window {
        Window { symbol: subject.symbol.clone(), start, end, count, width: None }
    }

    /// A large page; returns its ticks.
    async fn pages(&mut self, subject: &Subject) -> Ticks {
        let Some(now) = self.driver.now() else { return Ticks::default() };
        let mut window = self.window(subject, now - 30 * DAY, now - 60, MANY);
        let expected = match self.api {
            ApiVersion::V1 => 1_000,
            ApiVersion::Legacy => 5_000,
        };
        let Some(mut answer) = self.history(Check::PageCap, &window).await else {
            return Ticks::default();
        };
        let refusal = answer.refusal();
        if refusal.is_some() {
            window.count = 5_000;
            let Some(second) = self.history(Check::PageCap, &window).await else {
                return Ticks::default();
            };
            answer = second;
        }
        let page = match answer.ticks() {
            Ok(page) => page,
            Err(why) => {
                self.driver.keep(Check::PageCap, talk::unusable(&why));
                return Ticks::default();
            }
        };
        let mut cap = pages::page_cap(&page, &window, expected);
        if let Some(refusal) = refusal {
            let seen = format!("{}; {MANY} were refused with {refusal}", cap.seen);
            cap = Judged::differs(seen, "harmless: downloads never ask for more than 5,000");
        }
        let said = answer.pip_size();
        let verdicts = [
            (Check::PageCap, cap),
            (Check::NewestFirst, pages::newest_first(&page, &window)),
            (Check::Order, pages::order(&page)),
            (Check::Lengths, pages::lengths(&page)),
            (Check::Decimals, pages::decimals(said, subject.step)),
            (Check::Grid, pages::grid(&page, said)),
        ];
        for (check, judged) in verdicts {
            self.driver.keep(check, judged);
        }
        page
    }

    async fn history(&mut self, check: Check, window: &Window) -> Option<Answer> {
        self.driver.ask(check, &Question::History(window.clone())).await
    }

    /// A window between two known rows, and the same with fewer rows asked than it holds.
    async fn bounds(&mut self, subject: &Subject, page: &Ticks) {
        let mut known = page.epochs.clone();
        known.sort_unstable();
        known.dedup();
        let known = &known[known.len().saturating_sub(N_BETWEEN)..];
        let &[first, .., last] = known else { return };
        let mut window = self.window(subject, first, last, ENOUGH);
        if let Some(answer) = self.history(Check::Bounds, &window).await {
            let judged = judged_ticks(&answer, |ticks| pages::bounds(ticks, known));
            self.driver.keep(Check::Bounds, judged);
        }
        let few = (known.len() / 2).max(1);
        window.count = u32::try_from(few).unwrap_or(1);
        if let Some(answer) = self.history(Check::Count, &window).await {
            let judged = judged_ticks(&answer, |ticks| pages::count(ticks, few));
            self.driver.keep(Check::Count, judged);
        }
    }

    /// Windows around a year back, and one across the place where history begins.
    async fn wall(&mut self, subject: &Subject) {
        let mut search =
            wall::Search::new(if subject.is_continuous { [364, 366] } else { [360, 370] });
        let mut behind = None;
        while let Some(days) = search.next() {
            let Some(now) = self.driver.now() else { return };
            let from = subject.trading_second(now - days * DAY);
            let window = self.window(subject, from, from + 1_200, ENOUGH);
            let Some(answer) = self.history(Check::Wall, &window).await else { return };
            let place = subject.place(&answer, &window, now);
            search.learn(days, &place);
            if !matches!(place, wall::Place::Inside(_)) && behind.is_none() {
                behind = Some(wall::substitution(&place, window.end, echoed_end(&answer)));
            }
        }
        self.driver.keep(Check::Wall, search.judge());
        let found = search.found().zip(self.driver.now());
        let Some(((offered, refused), now)) = found else {
            let why = "the beginning of history was not found";
            self.driver.keep(Check::Substitution, Judged::skipped(why));
            return self.driver.keep(Check::Straddle, Judged::skipped(why));
        };
        self.driver.keep(Check::Substitution, behind.unwrap_or_else(|| Judged::skipped("")));
        let from = subject.trading_second(now - refused * DAY);
        let window =
            self.window(subject, from, subject.trading_second(now - offered * DAY), ENOUGH);
        if let Some(answer) = self.history(Check::Straddle, &window).await {
            let place = subject.place(&answer, &window, now);
            self.driver.keep(Check::Straddle, wall::straddle(&place));
        }
    }

    async fn candles(&mut self, subject: &Subject) {
        let Some(now) = self.driver.now() else { return };
        let recent =
            if subject.is_continuous { now - 3_600 } else { subject.trading_second(now - 7 * DAY) };
        let last = recent.div_euclid(WIDTH) * WIDTH;
        let start = last - N_CANDLES * WIDTH;
        let window = |start, end| Window {
            symbol: subject.symbol.clone(),
            start,
            end,
            count: ENOUGH,
            width: Some(WIDTH),
        };
        let aligned = window(start, last - 1);
        let bars =
            self.bars(Check::Candles, &aligned, |bars| candles::aligned(bars, &aligned)).await;
        let at_end = window(start, last);
        self.bars(Check::CandleAtEnd, &at_end, |bars| candles::at_end(bars, &at_end)).await;
        let cut = window(start + 17, last - 1);
        let whole = bars.iter().find(|bar| bar.epoch == start);
        self.bars(Check::CutCandle, &cut, |bars| candles::cut(bars, &cut, whole)).await;
        if !subject.is_open {
            return self
                .driver
                .keep(Check::OpenCandle, Judged::skipped("the market is closed now"));
        }
        let now = self.driver.now().unwrap_or(now);
        let open = window(now.div_euclid(WIDTH) * WIDTH - 5 * WIDTH, now);
        self.bars(Check::OpenCandle, &open, |bars| candles::open(bars, now)).await;
    }

    async fn bars(
        &mut self,
        check: Check,
        window: &Window,
        judge: impl FnOnce(&[Bar]) -> Judged,
    ) -> Vec<Bar> {
        let Some(answer) = self.history(check, window).await else { return Vec::new() };
        match answer.candles() {
            Ok(bars) => {
                self.driver.keep(check, judge(&bars));
                bars
            }
            Err(why) => {
                self.driver.keep(check, talk::unusable(&why));
                Vec::new()
            }
        }
    }

    async fn closed_market(&mut self, subject: &Subject) {
        let Some(now) = self.driver.now() else { return };
        let Some(symbol) = &subject.session_symbol else {
            let why = "no symbol with closed week-ends is listed";
            return self.driver.keep(Check::ClosedMarket, Judged::skipped(why));
        };
        let noon = last_saturday_noon(now);
        let window = Window {
            symbol: symbol.clone(),
            start: noon,
            end: noon + 3_600,
            count: ENOUGH,
            width: None,
        };
        if let Some(answer) = self.history(Check::ClosedMarket, &window).await {
            let judged = match answer.ticks() {
                Ok(ticks) => pages::closed_market(&ticks),
                Err(why) => refusals::closed_market(&why),
            };
            self.driver.keep(Check::ClosedMarket, judged);
        }
    }

    async fn refusals(&mut self, subject: &Subject) {
        let Some(now) = self.driver.now() else { return };
        let good = self.window(subject, now - 600, now - 60, ENOUGH);
        let unknown = Window { symbol: NO_SYMBOL.to_owned(), ..good.clone() };
        let odd_width = Window { width: Some(NO_WIDTH), ..good.clone() };
        let backward = Window { start: good.end, end: good.start, ..good };
        for (check, window, codes) in [
            (Check::UnknownSymbol, unknown, ["InvalidSymbol"].as_slice()),
            (Check::BadGranularity, odd_width, &["InvalidGranularity", "InputValidationFailed"]),
            (Check::BadRange, backward, &["InvalidStartEnd"]),
        ] {
            if let Some(answer) = self.history(check, &window).await {
                self.driver.keep(check, refusals::refused(&answer, codes));
            }
        }
    }
}

impl Subject {
    /// The second itself in a series that never rests; else a noon of the nearest Wednesday.
    fn trading_second(&self, epoch: i64) -> i64 {
        if self.is_continuous {
            return epoch;
        }
        let day = epoch.div_euclid(DAY);
        // 1970-01-01 was a Thursday, so the week-day of day 0 is 3 if Monday is 0.
        let weekday = (day + 3).rem_euclid(7);
        let to_wednesday = (2 - weekday + 3).rem_euclid(7) - 3;
        (day + to_wednesday) * DAY + DAY / 2
    }

    fn place(&self, answer: &Answer, window: &Window, now: i64) -> wall::Place {
        // A market may have been closed for a long week-end.
        let newest_from = now - if self.is_continuous { 3_600 } else { 5 * DAY };
        wall::Place::of(answer.epochs(), window, newest_from)
    }
}

/// What the list says of the symbol; without a list, what its name says.
fn subject(symbol: String, listed: &[Listed]) -> Subject {
    let own = listed.iter().find(|one| one.symbol == symbol);
    let has_sessions = |symbol: &str| ["frx", "OTC_", "WLD"].iter().any(|p| symbol.starts_with(p));
    let session_symbol = match listed {
        [] => Some("frxEURUSD".to_owned()),
        _ => {
            let forex = |one: &&Listed| one.symbol.starts_with("frx");
            let euro = listed.iter().find(|one| one.symbol == "frxEURUSD");
            euro.or_else(|| listed.iter().find(forex)).map(|one| one.symbol.clone())
        }
    };
    Subject {
        is_continuous: own.map_or(!has_sessions(&symbol), |one| {
            one.market.starts_with("synthetic") && !has_sessions(&symbol)
        }),
        is_open: own.is_none_or(|one| one.is_open),
        step: own.and_then(|one| one.step),
        session_symbol,
        symbol,
    }
}

fn judged_ticks(answer: &Answer, judge: impl FnOnce(&Ticks) -> Judged) -> Judged {
    match answer.ticks() {
        Ok(ticks) => judge(&ticks),
        Err(why) => odd(&why),
    }
}

fn odd(why: &NoRows) -> Judged {
    Judged::differs(why.to_string(), "a window of known rows was not answered with rows")
}

fn echoed_end(answer: &Answer) -> Option<i64> {
    let end = answer.value.get("echo_req")?.get("end")?;
    number(end).map(|end| end as i64)
}

/// Noon of the latest Saturday of which an hour and more is over.
fn last_saturday_noon(now: i64) -> i64 {
    // 1970-01-03 was a Saturday.
    const FIRST: i64 = 2 * DAY + DAY / 2;
    let week = 7 * DAY;
    FIRST + (now - 2 * 3_600 - FIRST).div_euclid(week) * week
}

#[cfg(test)]
mod tests;
