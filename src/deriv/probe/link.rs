//! One raw connection: a question at a time, and whatever comes back.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::super::config::DerivConfig;
use super::super::connection::handshake::{self, Socket, describe_loss};
use super::super::error::{Failure, printable};
use super::super::net::{Connect, DialSteps};
use super::answer::Answer;
use super::check::Check;

/// Messages that answer something else and are passed over while an answer is waited for.
const MAX_STRAYS: usize = 16;

/// For the farewell.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// How a connection was made.
#[derive(Debug, Clone, Default)]
pub(super) struct Opening {
    pub(super) steps: DialSteps,
    /// From a stream to a WebSocket.
    pub(super) upgrade: Option<Duration>,
    /// Whether a token was accepted.
    pub(super) is_authorized: bool,
}

/// Why there is no connection.
#[derive(Debug, Clone)]
pub(super) struct NotOpened {
    /// The step that failed.
    pub(super) at: Check,
    /// Why, with its causes.
    pub(super) why: String,
    /// How far it got.
    pub(super) opening: Opening,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The connection was lost.
    Lost(String),
    /// Nothing came in time.
    Late(Duration),
    /// What came is no JSON.
    Unreadable(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(how) => write!(f, "no answer: the connection was {how}"),
            Self::Late(within) => write!(f, "no answer within {} s", within.as_secs_f64()),
            Self::Unreadable(what) => write!(f, "the answer is {what}"),
        }
    }
}

/// An open connection.
pub(super) struct Link {
    socket: Socket,
    /// Knows the secrets that a server may repeat.
    config: DerivConfig,
}

impl Link {
    /// Dials, upgrades and, where a token is to be sent, authorizes under the number `req_id`.
    pub(super) async fn open<C: Connect>(
        config: &DerivConfig,
        connector: &C,
        req_id: u64,
    ) -> Result<(Self, Opening), NotOpened> {
        let mut opening = Opening::default();
        let dialled = timeout(config.connect_timeout, dial(config, connector, &mut opening)).await;
        let dialled = dialled.unwrap_or_else(|_| {
            Err(handshake::not_in_time(config, config.connect_timeout, &opening.steps))
        });
        let mut socket = match dialled {
            Ok(socket) => socket,
            Err(failure) => {
                let at = failed_at(config, &opening);
                return Err(NotOpened { at, why: told(&failure), opening });
            }
        };
        if let Some(token) = config.token_to_send() {
            let answered = handshake::authorize(&mut socket, config, token, req_id).await;
            if let Err(failure) = answered {
                return Err(NotOpened { at: Check::Token, why: told(&failure), opening });
            }
            opening.is_authorized = true;
        }
        Ok((Self { socket, config: config.clone() }, opening))
    }

    /// Sends a request and waits for its answer. After an error the connection is of no use.
    pub(super) async fn ask(
        &mut self,
        request: &Value,
        req_id: u64,
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        let began = Instant::now();
        timeout(within, self.exchange(request, req_id, began))
            .await
            .unwrap_or(Err(NoAnswer::Late(within)))
    }

    async fn exchange(
        &mut self,
        request: &Value,
        req_id: u64,
        began: Instant,
    ) -> Result<Answer, NoAnswer> {
        let lost = |error| NoAnswer::Lost(describe_loss(&error).to_owned());
        self.socket.send(Message::text(request.to_string())).await.map_err(lost)?;
        for _ in 0..MAX_STRAYS {
            let text = match self.socket.next().await {
                None | Some(Ok(Message::Close(_))) => {
                    return Err(NoAnswer::Lost("closed by the server".to_owned()));
                }
                Some(Err(error)) => return Err(lost(error)),
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Binary(_))) => {
                    return Err(NoAnswer::Unreadable("a binary message".to_owned()));
                }
                Some(Ok(_)) => continue,
            };
            let took = began.elapsed();
            let value = serde_json::from_str(&self.config.masked(&text)).map_err(|error| {
                NoAnswer::Unreadable(format!("no JSON: {}", printable(&error.to_string())))
            })?;
            if !is_of_another(&value, req_id) {
                return Ok(Answer { value, n_bytes: text.len(), took });
            }
        }
        Err(NoAnswer::Unreadable(format!("not among {MAX_STRAYS} messages")))
    }

    /// Says nothing until the server closes the connection; `None` if it did not within `limit`.
    pub(super) async fn closed_after(&mut self, limit: Duration) -> Option<Duration> {
        let began = Instant::now();
        let closed = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        };
        timeout(limit, closed).await.ok().map(|()| began.elapsed())
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        let _ = timeout(CLOSE_WITHIN, self.socket.close(None)).await;
    }
}

async fn dial<C: Connect>(
    config: &DerivConfig,
    connector: &C,
    opening: &mut Opening,
) -> Result<Socket, Failure> {
    let dialled = connector.dial_in_steps(&config.endpoint, &mut opening.steps).await;
    let stream = dialled.map_err(|error| handshake::not_dialled(config, error))?;
    let began = Instant::now();
    let socket = handshake::upgrade(config, stream).await?;
    opening.upgrade = Some(began.elapsed());
    Ok(socket)
}

/// The step that was not done yet.
fn failed_at(config: &DerivConfig, opening: &Opening) -> Check {
    let DialSteps { dns, tcp, tls, .. } = &opening.steps;
    match (dns, tcp, tls) {
        (None, ..) => Check::Dns,
        (_, None, _) => Check::Tcp,
        (_, _, None) if config.endpoint.is_tls() => Check::Tls,
        _ => Check::Upgrade,
    }
}

/// A failure with its causes, on one line.
fn told(failure: &Failure) -> String {
    let mut text = failure.message.clone();
    let mut cause = failure.cause.as_deref().map(|cause| cause as &dyn std::error::Error);
    while let Some(error) = cause {
        let message = printable(&error.to_string());
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// Late answers to earlier requests, and news that nobody asked for.
fn is_of_another(value: &Value, req_id: u64) -> bool {
    let is_older = value.get("req_id").and_then(Value::as_u64).is_some_and(|id| id < req_id);
    let is_news = value.get("msg_type").and_then(Value::as_str) == Some("website_status");
    is_older || is_news
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_older_answers_and_news_are_passed_over() {
        assert!(is_of_another(&json!({"req_id": 3}), 4));
        assert!(is_of_another(&json!({"msg_type": "website_status"}), 4));
        for odd in [json!({"req_id": 4}), json!({"req_id": 5}), json!({"req_id": "3"}), json!({})] {
            assert!(!is_of_another(&odd, 4), "{odd}");
        }
    }
}
