//! From nothing to a socket that may be asked: dial, upgrade, and on legacy authorize.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Shared;
use super::heard::Heard;
use crate::deriv::config::{DerivConfig, Secret};
use crate::deriv::error::{Failure, kind_of, printable};
use crate::deriv::net::{BoxedStream, Connect, DialSteps};
use crate::deriv::wire::{self, AuthorizeRequest, PlainAnswer};
use crate::domain::ErrorKind;

pub(in crate::deriv) type Socket = WebSocketStream<Heard>;

/// Bytes read from the socket at once; a page of 5,000 ticks takes two or three reads.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Opens a socket that may be asked; `within` is the time for it without the authorization.
pub(super) async fn open<C: Connect>(
    connector: &C,
    shared: &Shared,
    within: Duration,
) -> Result<Socket, Failure> {
    let config = &shared.config;
    let mut steps = DialSteps::default();
    let connected = timeout(within, connect(connector, config, &mut steps)).await;
    let mut socket = connected.unwrap_or_else(|_| Err(not_in_time(config, within, &steps)))?;
    if let Some(token) = config.token_to_send() {
        authorize(&mut socket, config, token, shared.next_req_id()).await?;
    }
    Ok(socket)
}

async fn connect<C: Connect>(
    connector: &C,
    config: &DerivConfig,
    steps: &mut DialSteps,
) -> Result<Socket, Failure> {
    let dialled = connector.dial_in_steps(&config.endpoint, steps).await;
    let stream = dialled.map_err(|error| not_dialled(config, error))?;
    upgrade(config, stream).await
}

/// Makes a WebSocket of a stream.
pub(in crate::deriv) async fn upgrade(
    config: &DerivConfig,
    stream: BoxedStream,
) -> Result<Socket, Failure> {
    let mut request =
        config.url().into_client_request().map_err(|error| no_upgrade(config, error))?;
    let agent = HeaderValue::from_static(concat!("titan-download/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(header::USER_AGENT, agent);
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0) // requests are small and rare: each leaves at once
        .max_message_size(Some(config.max_message_bytes))
        .max_frame_size(Some(config.max_frame_bytes));
    match client_async_with_config(request, Heard::new(stream), Some(limits)).await {
        Ok((socket, _)) => Ok(socket),
        Err(WsError::Http(response)) => Err(upgrade_refused(config, &response)),
        Err(error) => Err(no_upgrade(config, error)),
    }
}

/// Names the addresses that were tried: one that leads nowhere is found by its number.
pub(in crate::deriv) fn not_in_time(
    config: &DerivConfig,
    within: Duration,
    steps: &DialSteps,
) -> Failure {
    let secs = rounded_secs(within);
    let mut message = format!("`{}` did not accept a connection within {secs} s", config.endpoint);
    if !steps.tried.is_empty() {
        let tried: Vec<_> = steps.tried.iter().map(ToString::to_string).collect();
        let how_far = if steps.tcp.is_some() { "connected to one of" } else { "tried" };
        message = format!("{message} ({how_far} {})", tried.join(", "));
    }
    Failure::new(ErrorKind::Transport, message)
}

/// Seconds to show, to a tenth.
pub(super) fn rounded_secs(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

pub(in crate::deriv) fn not_dialled(config: &DerivConfig, error: io::Error) -> Failure {
    if let Some(problem) = certificate_problem(&error) {
        let message = format!("the certificate of `{}` is refused: {problem}", config.endpoint);
        return Failure::new(ErrorKind::Rejected, message);
    }
    let kind = match error.kind() {
        io::ErrorKind::InvalidInput => ErrorKind::Rejected,
        _ => ErrorKind::Transport,
    };
    Failure::new(kind, format!("cannot connect to `{}`", config.endpoint)).caused_by(error)
}

/// What is wrong with the certificate of the other side, if that is what ended the dial. Asking
/// again changes nothing, and going on without it would be talking to nobody knows whom.
fn certificate_problem(error: &io::Error) -> Option<String> {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(problem) = error.get_ref()?.downcast_ref()? else {
        return None;
    };
    Some(match problem {
        Bad::Expired | Bad::ExpiredContext { .. } => "it has expired".to_owned(),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "it is not valid yet; is the clock of this machine right?".to_owned()
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "it was issued for another host".to_owned()
        }
        // The second is shown by who took the name of an issuer that is trusted.
        Bad::UnknownIssuer | Bad::BadSignature => {
            "nobody this machine trusts has issued it".to_owned()
        }
        Bad::Revoked => "it was revoked".to_owned(),
        other => printable(&other.to_string()),
    })
}

fn no_upgrade(config: &DerivConfig, error: WsError) -> Failure {
    let message = format!("`{}` did not answer as a WebSocket", config.endpoint);
    Failure::new(ErrorKind::Transport, message).caused_by(error)
}

/// A refused upgrade is an HTTP answer.
///
/// Source: 400 with `errors[]` in v1; 401 `InvalidAppID` and 403 for a blocked application, origin
/// or country on legacy.
fn upgrade_refused(config: &DerivConfig, response: &Response<Option<Vec<u8>>>) -> Failure {
    let status = response.status();
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::REQUEST_TIMEOUT => ErrorKind::Transport,
        _ if status.is_redirection() || status.is_client_error() => ErrorKind::Rejected,
        _ => ErrorKind::Transport,
    };
    let mut message =
        format!("`{}` refused the connection with HTTP {}", config.endpoint, status.as_u16());
    if kind == ErrorKind::Unauthorized {
        message.push_str(" (application, account or country not allowed)");
    }
    if let Some(reason) = response.body().as_deref().and_then(|body| reason_in(config, body)) {
        message = format!("{message}: {reason}");
    }
    let mut failure = Failure::new(kind, message);
    failure.retry_after = retry_after(response);
    failure
}

/// The reason in the body of a refusal: `errors[0].message` in v1, `error.message` on legacy.
fn reason_in(config: &DerivConfig, body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.pointer("/errors/0").or_else(|| body.get("error"))?;
    let words = ["code", "message"].into_iter().filter_map(|key| error.get(key)?.as_str());
    let reason = words.map(|word| printable(&config.masked(word))).collect::<Vec<_>>().join(": ");
    Some(reason).filter(|reason| !reason.is_empty())
}

/// `Retry-After` in seconds; its form as a date would need a clock and is not believed.
fn retry_after(response: &Response<Option<Vec<u8>>>) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// Precedes every other request of a connection.
pub(in crate::deriv) async fn authorize(
    socket: &mut Socket,
    config: &DerivConfig,
    token: &Secret,
    req_id: u64,
) -> Result<(), Failure> {
    timeout(config.request_timeout, authorize_in_time(socket, config, token, req_id))
        .await
        .unwrap_or_else(|_| {
            Err(Failure::new(ErrorKind::Transport, "the authorization was not answered in time"))
        })
}

async fn authorize_in_time(
    socket: &mut Socket,
    config: &DerivConfig,
    token: &Secret,
    req_id: u64,
) -> Result<(), Failure> {
    let request = AuthorizeRequest { authorize: token.expose(), req_id };
    // The cause of a failure to write could repeat the request, so it is not kept.
    let unsent =
        || Failure::new(ErrorKind::Transport, "the connection was lost before authorization");
    let text = wire::text_of(&request).map_err(|_| unsent())?;
    socket.send(Message::text(text)).await.map_err(|_| unsent())?;
    while let Some(message) = socket.next().await {
        let message = message.map_err(|_| unsent())?;
        let Message::Text(text) = message else { continue };
        let is_ours = wire::peek(&text).is_ok_and(|envelope| {
            let answers = ["authorize", "error"].contains(&envelope.msg_type.as_str());
            envelope.req_id.0 == Some(req_id) || (envelope.req_id.0.is_none() && answers)
        });
        if is_ours {
            return authorized(&config.masked(&text));
        }
    }
    Err(unsent())
}

fn authorized(text: &str) -> Result<(), Failure> {
    let answer: PlainAnswer = serde_json::from_str(text).map_err(|_| {
        Failure::new(ErrorKind::Malformed, "the answer to the authorization is unreadable")
    })?;
    let Some(error) = answer.error else { return Ok(()) };
    let (code, message) = (printable(error.code.as_str()), printable(error.message.as_str()));
    // The request held nothing but the token, so a rejection of the one is that of the other.
    let kind = match kind_of(error.code.as_str()) {
        ErrorKind::Rejected => ErrorKind::Unauthorized,
        kind => kind,
    };
    let advice = match kind {
        ErrorKind::Unauthorized => "; check `TITAN_TOKEN` or `--token-file`",
        _ => "",
    };
    let text = format!("Deriv refused the API token (`{code}`: {message}){advice}");
    Err(Failure::new(kind, text))
}

/// Why a socket stopped working, in a few words; the details stay in the cause.
pub(in crate::deriv) fn describe_loss(error: &WsError) -> &'static str {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => "closed by the server",
        WsError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "cut off",
        WsError::Io(error) if error.source().is_some() => "broken by an error below",
        WsError::Io(_) => "broken",
        WsError::Capacity(_) => "ended, because an answer was larger than allowed",
        WsError::Utf8(_) => "ended, because an answer was no UTF-8",
        _ => "ended, because the server broke the protocol",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deriv::config::{ApiVersion, Endpoint};

    fn refusal(status: u16, body: &str) -> Failure {
        let endpoint = Endpoint::parse("wss://h/p?otp=s3cret").unwrap();
        let response = Response::builder()
            .status(status)
            .header("Retry-After", "7")
            .body(Some(body.as_bytes().to_vec()))
            .unwrap();
        upgrade_refused(&DerivConfig::new(ApiVersion::V1, endpoint), &response)
    }

    #[test]
    fn a_refused_upgrade_says_what_can_be_done() {
        let check = |status, kind| assert_eq!(refusal(status, "").kind, kind, "{status}");
        check(400, ErrorKind::Rejected);
        check(404, ErrorKind::Rejected);
        check(301, ErrorKind::Rejected);
        check(401, ErrorKind::Unauthorized);
        check(403, ErrorKind::Unauthorized);
        check(408, ErrorKind::Transport);
        check(429, ErrorKind::RateLimited);
        check(500, ErrorKind::Transport);
        check(503, ErrorKind::Transport);
        assert_eq!(refusal(429, "").retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_refused_upgrade_tells_the_reason_and_no_secret() {
        let body = r#"{"errors":[{"status":400,"code":"ValidationError","message":"Invalid\u001b request"}]}"#;
        let message = refusal(400, body).message;
        assert_eq!(
            message,
            "`wss://h/p` refused the connection with HTTP 400: ValidationError: Invalid\\u{1b} request"
        );
        assert!(
            refusal(401, r#"{"error":{"code":"InvalidAppID"}}"#)
                .message
                .ends_with(": InvalidAppID")
        );
        assert!(!refusal(403, "<html>").message.contains("s3cret"));
    }

    #[test]
    fn a_refused_token_is_final_and_a_busy_server_is_not() {
        let kind = |text| authorized(text).map_err(|failure| failure.kind);
        assert_eq!(kind(r#"{"authorize":{},"msg_type":"authorize"}"#), Ok(()));
        assert_eq!(kind(r#"{"error":{"code":"InvalidToken"}}"#), Err(ErrorKind::Unauthorized));
        assert_eq!(
            kind(r#"{"error":{"code":"InputValidationFailed"}}"#),
            Err(ErrorKind::Unauthorized)
        );
        assert_eq!(kind(r#"{"error":{"code":"RateLimit"}}"#), Err(ErrorKind::RateLimited));
        assert_eq!(kind(r#"{"error":{"code":"InternalError"}}"#), Err(ErrorKind::ServerFault));
    }
}
