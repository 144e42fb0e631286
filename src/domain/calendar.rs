//! When a market is open, as its source tells it: sessions of a UTC day, and what is learned of
//! the week from several of them.
//!
//! A calendar only says what silence is *expected*; it proves nothing. Every second it calls closed
//! is asked for like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::series::Symbol;
use super::time::{Epoch, EpochRange};

/// Seconds of a UTC day.
pub const SECS_PER_DAY: i64 = 86_400;

/// The last quote comes a little before a session ends, the first a little after it began.
const EDGE_SECS: i64 = 900;

/// Where clocks are changed, sessions move by an hour of UTC between summer and winter; a week
/// that was told in one of them stands for the other as well.
const CLOCK_CHANGE_SECS: i64 = 3600;

/// Special days that are kept; more than a source tells of in years.
const MAX_SPECIAL_DAYS: usize = 64;

/// Sessions of one day that are believed; sources tell of one to four.
const MAX_SESSIONS: usize = 64;

/// A stretch of one UTC day in which a market is open, in seconds of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Session {
    open_secs: i64,
    close_secs: i64,
}

impl Session {
    /// The whole day.
    pub const ALL_DAY: Self = Self { open_secs: 0, close_secs: SECS_PER_DAY };

    /// Makes the session `[open, close)`; `None` if it would hold no second of the day.
    pub fn new(open_secs: i64, close_secs: i64) -> Option<Self> {
        let is_good = 0 <= open_secs && open_secs < close_secs && close_secs <= SECS_PER_DAY;
        is_good.then_some(Self { open_secs, close_secs })
    }
}

/// `07:00:00-20:00:00`; the end of the day is `24:00:00`.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock =
            |secs: i64| format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60);
        write!(f, "{}-{}", clock(self.open_secs), clock(self.close_secs))
    }
}

impl From<Session> for String {
    fn from(session: Session) -> Self {
        session.to_string()
    }
}

impl TryFrom<String> for Session {
    type Error = InvalidSession;

    fn try_from(text: String) -> Result<Self, InvalidSession> {
        let read = |text: &str| {
            let (open, close) = text.split_once('-')?;
            Self::new(second_of_day(open)?, second_of_day(close)?)
        };
        read(&text).ok_or(InvalidSession)
    }
}

/// The text is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no session like `07:00:00-20:00:00`")]
pub struct InvalidSession;

/// Reads `HH:MM:SS` or `HH:MM` up to `24:00:00` as seconds of the day.
pub fn second_of_day(clock: &str) -> Option<i64> {
    let number = |text: &str| {
        let is_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_digits.then(|| text.parse::<i64>().ok()).flatten()
    };
    let parts: Vec<&str> = clock.trim().split(':').collect();
    let (hours, minutes, secs) = match parts[..] {
        [hours, minutes] => (number(hours)?, number(minutes)?, 0),
        [hours, minutes, secs] => (number(hours)?, number(minutes)?, number(secs)?),
        _ => return None,
    };
    let total = hours * 3600 + minutes * 60 + secs;
    (minutes < 60 && secs < 60 && total <= SECS_PER_DAY).then_some(total)
}

/// A day of the week, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // their names say it
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// All of them, from Monday.
    pub const ALL: [Self; 7] =
        [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// The weekday of a moment.
    pub fn of(epoch: Epoch) -> Self {
        // 1970-01-01 was a Thursday, the fourth day counted from Monday.
        let day = (epoch.secs().div_euclid(SECS_PER_DAY) + 3).rem_euclid(7);
        Self::ALL[usize::try_from(day).unwrap_or(0)]
    }
}

/// What a source tells of one symbol on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradingDay {
    /// Whose market.
    pub symbol: Symbol,
    /// First second of the day.
    pub day: Epoch,
    /// When it is open on that day; none if it is closed all day.
    pub sessions: Vec<Session>,
    /// On which weekdays it opens at all, if that was told.
    pub weekdays: Option<BTreeSet<Weekday>>,
    /// First seconds of days on which it stays closed though its weekday is a trading day.
    pub holidays: Vec<Epoch>,
    /// First seconds of days whose hours differ in another way.
    pub odd_days: Vec<Epoch>,
}

/// When the market of a symbol is open, as far as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TradingHours {
    /// Sessions of the weekdays that are known; an empty list is a day without any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    week: BTreeMap<Weekday, Vec<Session>>,
    /// Days that are closed though their weekday is not, by their first second.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    holidays: BTreeSet<Epoch>,
    /// Days of which only is known that their weekday says nothing of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    odd_days: BTreeSet<Epoch>,
}

impl TradingHours {
    /// Adds what was told of a day; the last word on a weekday counts.
    pub fn learn(&mut self, told: &TradingDay) {
        let day = told.day.floor_to(SECS_PER_DAY, 0);
        let weekday = Weekday::of(day);
        let opens = |weekday| told.weekdays.as_ref().map(|days| days.contains(&weekday));
        self.holidays.extend(&told.holidays);
        self.odd_days.extend(&told.odd_days);
        let is_special = told.holidays.contains(&day) || told.odd_days.contains(&day);
        if told.sessions.is_empty() && opens(weekday) == Some(true) {
            // A trading day of the week that is closed this once says nothing of other weeks.
            self.holidays.insert(day);
        } else if !is_special {
            self.week.insert(weekday, merged(told.sessions.clone()));
        }
        for weekday in Weekday::ALL {
            if opens(weekday) == Some(false) {
                self.week.insert(weekday, Vec::new());
            } else if opens(weekday) == Some(true)
                && self.week.get(&weekday).is_some_and(Vec::is_empty)
            {
                self.week.remove(&weekday);
            }
        }
        keep_newest(&mut self.holidays);
        keep_newest(&mut self.odd_days);
    }

    /// Tells what in it cannot be, as far as it was read from a file.
    pub fn problem(&self) -> Option<String> {
        let most = self.week.values().map(Vec::len).max().unwrap_or(0);
        if most > MAX_SESSIONS {
            return Some(format!("it names {most} sessions of one day"));
        }
        let special = self.holidays.len().max(self.odd_days.len());
        if special > MAX_SPECIAL_DAYS {
            return Some(format!("it names {special} special days"));
        }
        let mut days = self.holidays.iter().chain(&self.odd_days);
        let odd = days.find(|day| day.to_utc().is_none())?;
        Some(format!("it names the day {odd}"))
    }

    /// Tells whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.week.is_empty() && self.holidays.is_empty()
    }

    /// Tells whether every weekday that was told is open all day, one of the week-end among them.
    pub fn is_always_open(&self) -> bool {
        let is_known = |day| self.week.contains_key(day);
        let is_whole = |sessions: &Vec<Session>| sessions[..] == [Session::ALL_DAY];
        [Weekday::Sat, Weekday::Sun].iter().any(is_known) && self.week.values().all(is_whole)
    }

    /// What of it matters in `range`.
    #[must_use]
    pub fn within(&self, range: EpochRange) -> Self {
        let inside = |days: &BTreeSet<Epoch>| {
            days.iter().copied().filter(|day| range.contains(*day)).collect()
        };
        Self {
            week: self.week.clone(),
            holidays: inside(&self.holidays),
            odd_days: inside(&self.odd_days),
        }
    }

    /// Tells whether a closed market explains `silence`: `Some(true)` if it is closed over all of
    /// it but a few minutes at the ends, `Some(false)` if it is open in it, `None` if too little
    /// is known of these days.
    pub fn explains(&self, silence: EpochRange) -> Option<bool> {
        let shifts = [0, CLOCK_CHANGE_SECS, -CLOCK_CHANGE_SECS];
        let verdicts = shifts.map(|shift| self.explains_shifted(silence, shift));
        if verdicts.contains(&Some(true)) {
            return Some(true);
        }
        // What one reading of the hours leaves open, the others do not settle.
        verdicts.iter().all(|verdict| *verdict == Some(false)).then_some(false)
    }

    /// As [`explains`](Self::explains), with all sessions `shift_secs` later than they were told.
    fn explains_shifted(&self, silence: EpochRange, shift_secs: i64) -> Option<bool> {
        let (start, end) = (silence.start().plus(-shift_secs), silence.end().plus(-shift_secs));
        let mut pieces = self.pieces(EpochRange::new(start, end)?);
        let is_edge = |piece: &Piece| piece.state == State::Open && piece.secs <= EDGE_SECS;
        if pieces.last().is_some_and(is_edge) {
            pieces.pop();
        }
        if pieces.first().is_some_and(is_edge) {
            pieces.remove(0);
        }
        let secs_of = |state| -> i64 {
            pieces.iter().filter(|piece| piece.state == state).map(|piece| piece.secs).sum()
        };
        if secs_of(State::Open) > 0 {
            Some(false)
        } else if secs_of(State::Unknown) > 0 {
            None
        } else {
            // Minutes at the ends of a session are no closed market.
            Some(2 * secs_of(State::Closed) >= silence.len_secs())
        }
    }

    /// The stretches of `range` by what is known of them; neighbours differ.
    fn pieces(&self, range: EpochRange) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut push = |state, start: Epoch, end: Epoch| {
            let secs = end.min(range.end()).since(start.max(range.start()));
            match pieces.last_mut() {
                _ if secs <= 0 => {}
                Some(last) if last.state == state => last.secs += secs,
                _ => pieces.push(Piece { state, secs }),
            }
        };
        let mut day = range.start().floor_to(SECS_PER_DAY, 0);
        while day < range.end() {
            let next = day.plus(SECS_PER_DAY);
            match self.sessions_of(day) {
                None => push(State::Unknown, day, next),
                Some(sessions) => {
                    let mut at = day;
                    for session in sessions {
                        push(State::Closed, at, day.plus(session.open_secs));
                        at = day.plus(session.close_secs);
                        push(State::Open, day.plus(session.open_secs), at);
                    }
                    push(State::Closed, at, next);
                }
            }
            day = next;
        }
        pieces
    }

    fn sessions_of(&self, day: Epoch) -> Option<&[Session]> {
        if self.holidays.contains(&day) {
            return Some(&[]);
        }
        let of_week = || self.week.get(&Weekday::of(day)).map(Vec::as_slice);
        (!self.odd_days.contains(&day)).then(of_week).flatten()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    state: State,
    secs: i64,
}

/// The same sessions ascending, those that touch or overlap made one.
fn merged(mut sessions: Vec<Session>) -> Vec<Session> {
    sessions.sort_unstable();
    let mut merged: Vec<Session> = Vec::new();
    for session in sessions {
        match merged.last_mut() {
            Some(last) if session.open_secs <= last.close_secs => {
                last.close_secs = last.close_secs.max(session.close_secs);
            }
            _ => merged.push(session),
        }
    }
    merged
}

fn keep_newest(days: &mut BTreeSet<Epoch>) {
    while days.len() > MAX_SPECIAL_DAYS {
        days.pop_first();
    }
}

#[cfg(test)]
mod tests;
