//! The driver: one question after the other, at a polite pace, within the budget.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::check::Check;
use super::judge::talk::{self, Envelopes};
use super::link::{Link, NoAnswer, NotOpened, Opening};
use super::question::Question;
use super::shape::shape;
use super::{MAX_REQUESTS, ProbePlan};
use crate::deriv::config::DerivConfig;
use crate::deriv::net::{Connect, DialSteps};
use crate::domain::{Epoch, Judged, Probe, ProbeExchange};

/// Connections that are made at most; a server that closes one after each error needs a few.
const MAX_DIALS: u32 = 8;

/// What to do about a step of the connection that failed.
const UNREACHABLE: &str = "nothing can be downloaded; check the network, `--endpoint` and `--api`";

/// Asks, and keeps what was found.
pub(super) struct Driver<'a, C> {
    config: &'a DerivConfig,
    connector: &'a C,
    pub(super) plan: &'a ProbePlan,
    tell: &'a (dyn Fn(Check) + Sync),
    link: Option<Link>,
    /// Whether the last answer on this connection was an error.
    after_error: bool,
    n_dials: u32,
    pub(super) n_requests: u32,
    began: Instant,
    /// Why nothing more is asked.
    ended: Option<String>,
    found: BTreeMap<Check, Judged>,
    exchanges: BTreeMap<Check, Vec<ProbeExchange>>,
    envelopes: Envelopes,
    took: Vec<Duration>,
    n_kept: u32,
    n_lost: u32,
    pub(super) server_time: Option<Epoch>,
    /// When it was told.
    told_at: Instant,
}

impl<'a, C: Connect> Driver<'a, C> {
    pub(super) fn new(
        config: &'a DerivConfig,
        connector: &'a C,
        plan: &'a ProbePlan,
        tell: &'a (dyn Fn(Check) + Sync),
    ) -> Self {
        Self {
            config,
            connector,
            plan,
            tell,
            link: None,
            after_error: false,
            n_dials: 0,
            n_requests: 0,
            began: Instant::now(),
            ended: None,
            found: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            envelopes: Envelopes::default(),
            took: Vec::new(),
            n_kept: 0,
            n_lost: 0,
            server_time: None,
            told_at: Instant::now(),
        }
    }

    /// What the clock of the source shows now.
    pub(super) fn now(&self) -> Option<i64> {
        let since = i64::try_from(self.told_at.elapsed().as_secs()).unwrap_or(0);
        self.server_time.map(|told| told.secs() + since)
    }

    /// Keeps a verdict.
    pub(super) fn keep(&mut self, check: Check, judged: Judged) {
        self.found.insert(check, judged);
    }

    /// Asks nothing more, for this reason.
    pub(super) fn end(&mut self, why: impl Into<String>) {
        self.ended.get_or_insert_with(|| why.into());
    }

    /// Asks for the sake of `check`. Without an answer the check is failed, or skipped once nothing
    /// more is asked, unless it has a verdict already.
    pub(super) async fn ask(&mut self, check: Check, question: &Question) -> Option<Answer> {
        (self.tell)(check);
        // A second time only if the connection was gone before the question could be heard.
        for _ in 0..2 {
            if self.ended.is_some() {
                return None;
            }
            if self.n_requests + self.authorizations() >= MAX_REQUESTS {
                self.end(format!("the {MAX_REQUESTS} requests of one examination are used up"));
                return None;
            }
            if self.n_requests > 0 {
                sleep(self.plan.pace).await;
            }
            if self.link.is_none() && !self.connect().await {
                return None;
            }
            let was_after_error = std::mem::take(&mut self.after_error);
            match self.exchange(check, question).await {
                Ok(answer) => {
                    self.n_kept += u32::from(was_after_error);
                    self.after_error = answer.refusal().is_some();
                    self.note_refusal(&answer);
                    return (self.ended.is_none()).then_some(answer);
                }
                Err(NoAnswer::Lost(_)) if was_after_error => self.n_lost += 1,
                Err(why) => {
                    let judged =
                        Judged::failed(why.to_string(), "run it again; if it stays so, report it");
                    self.found.entry(check).or_insert(judged);
                    return None;
                }
            }
        }
        None
    }

    /// Requests that are made without being asked for.
    fn authorizations(&self) -> u32 {
        if self.link.is_none() { u32::from(self.config.token_to_send().is_some()) } else { 0 }
    }

    async fn exchange(&mut self, check: Check, question: &Question) -> Result<Answer, NoAnswer> {
        let Some(link) = &mut self.link else {
            return Err(NoAnswer::Lost("closed".to_owned()));
        };
        self.n_requests += 1;
        let req_id = u64::from(self.n_requests);
        let request = question.json(req_id);
        let asked_at = Instant::now();
        let answer = link.ask(&request, req_id, self.config.request_timeout).await;
        let heard = answer.as_ref().ok();
        let exchange = ProbeExchange {
            request: shape(&request),
            response: heard.map_or(Value::Null, |answer| shape(&answer.value)),
            response_bytes: heard.map_or(0, |answer| answer.n_bytes),
            took_millis: u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.exchanges.entry(check).or_default().push(exchange);
        match &answer {
            Ok(answer) => {
                self.envelopes.look(question, &request, req_id, answer);
                self.took.push(answer.took);
            }
            // Whatever still comes on it would be taken for the answer to something else.
            Err(_) => self.link = None,
        }
        answer
    }

    /// A refusal as too frequent ends everything: this must never be the one that hammers.
    fn note_refusal(&mut self, answer: &Answer) {
        let Some(refusal) = answer.refusal().filter(|refusal| refusal.code == "RateLimit") else {
            return;
        };
        let seen = format!("after {}: {refusal}", self.asked());
        self.keep(
            Check::RateLimit,
            Judged::differs(seen, "the source allows less than expected, or others use up the same budget; downloads slow down by themselves"),
        );
        self.end("the source refused a request as too frequent");
    }

    fn asked(&self) -> String {
        format!("{} requests in {}", self.n_requests, talk::millis(self.began.elapsed()))
    }

    /// Opens a connection; the first one decides the checks of the way there.
    pub(super) async fn connect(&mut self) -> bool {
        if self.n_dials == MAX_DIALS {
            self.end(format!("the connection was lost {MAX_DIALS} times"));
            return false;
        }
        self.n_dials += 1;
        let is_first = self.n_dials == 1;
        let sends_token = self.config.token_to_send().is_some();
        let opened = Link::open(self.config, self.connector, u64::from(self.n_requests) + 1).await;
        self.after_error = false;
        match opened {
            Ok((link, opening)) => {
                self.n_requests += u32::from(sends_token);
                self.link = Some(link);
                if is_first {
                    self.keep_opening(&opening);
                }
                true
            }
            Err(NotOpened { at, why, opening }) => {
                if at == Check::Token {
                    self.n_requests += 1;
                }
                if is_first {
                    self.keep_opening(&opening);
                    self.keep(at, Judged::failed(why, UNREACHABLE));
                    self.end("there is no connection");
                } else {
                    self.end(format!("the connection was lost, and there is no other: {why}"));
                }
                false
            }
        }
    }

    fn keep_opening(&mut self, opening: &Opening) {
        let DialSteps { dns, tcp, tls, n_addresses, .. } = opening.steps;
        let after = |took: Duration| format!("in {}", talk::millis(took));
        if let Some(took) = dns {
            let n = format!("{n_addresses} address{}", if n_addresses == 1 { "" } else { "es" });
            self.keep(Check::Dns, Judged::ok(format!("{n}, {}", after(took))));
        }
        for (check, took) in
            [(Check::Tcp, tcp), (Check::Tls, tls), (Check::Upgrade, opening.upgrade)]
        {
            if let Some(took) = took {
                self.keep(check, Judged::ok(after(took)));
            }
        }
        if !self.config.endpoint.is_tls() {
            self.keep(Check::Tls, Judged::skipped("`ws://` is not encrypted"));
        }
        let token = match (opening.is_authorized, self.config.token.is_some()) {
            (true, _) => Judged::ok("accepted"),
            (false, true) => Judged::skipped("this API knows no tokens"),
            (false, false) => Judged::skipped("none is given, and none is needed"),
        };
        self.keep(Check::Token, token);
    }

    /// Takes in the clock of the source.
    pub(super) fn set_time(&mut self, epoch: i64) {
        self.server_time = Some(Epoch::new(epoch));
        self.told_at = Instant::now();
    }

    /// Says nothing on the open connection until the server closes it.
    pub(super) async fn fall_silent(&mut self, limit: Duration) {
        (self.tell)(Check::Idle);
        let Some(mut link) = self.link.take() else { return };
        let closed_after = link.closed_after(limit).await;
        self.keep(Check::Idle, talk::idle(closed_after, limit, self.config.ping_every));
    }

    /// Says goodbye and makes a row of each check.
    pub(super) async fn finish(mut self) -> (Vec<Probe>, bool) {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        let is_reached = !self.took.is_empty();
        let (numbers, echoes, types) =
            (self.envelopes.numbers(), self.envelopes.echoes(), self.envelopes.types());
        self.keep(Check::ReqId, numbers);
        self.keep(Check::Echo, echoes);
        self.keep(Check::MsgType, types);
        self.keep(Check::RoundTrip, talk::round_trip(&self.took));
        self.keep(Check::ErrorsKeep, talk::errors_keep(self.n_kept, self.n_lost));
        if is_reached && !self.found.contains_key(&Check::RateLimit) {
            let seen = self.asked();
            self.keep(Check::RateLimit, Judged::ok(seen));
        }
        let why = self.ended.clone().unwrap_or_else(|| "what it needs did not come".to_owned());
        let row = |check: &Check| {
            let judged = self.found.get(check).cloned().unwrap_or_else(|| Judged::skipped(&why));
            let mut probe = Probe::new(check.name(), check.assumed(), judged);
            probe.exchanges = self.exchanges.remove(check).unwrap_or_default();
            probe
        };
        (Check::ALL.iter().map(row).collect(), is_reached)
    }
}
