//! The HTTP upgrade: which surface a path leads to, and how a wrong one is refused.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::fault::Fault;
use super::validate::Surface;

/// Path of the public endpoint. Source: published address of the `v1` surface.
const V1_PATH: &str = "/trading/v1/options/ws/public";

/// Path of the legacy endpoint; takes `?app_id=N`.
const LEGACY_PATH: &str = "/websockets/v3";

/// A client that has not finished its upgrade by then is not a client.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Why an upgrade is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

/// Takes a connection through its upgrade; `None` if it was refused or never finished.
///
/// `reset` makes the closing of the stream a reset where it can be one.
#[expect(clippy::result_large_err, reason = "the refusal of an upgrade is tungstenite's type")]
pub(super) async fn accept<S>(
    mut stream: S,
    fault: Option<Fault>,
    reset: fn(&S),
) -> Option<(WebSocketStream<S>, Surface)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match fault {
        Some(Fault::NeverUpgrades) => {
            // Whatever the client says, until it gives up.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            return None;
        }
        Some(Fault::ResetUpgrade) => {
            let _ = stream.read(&mut [0; 16]).await;
            reset(&stream);
            return None;
        }
        Some(Fault::GarbageUpgrade) => {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
            let _ = stream.shutdown().await;
            return None;
        }
        _ => {}
    }
    let mut chosen = None;
    let choose = |request: &Request, response: Response| {
        let (path, query) = (request.uri().path(), request.uri().query());
        match spoiled(fault).map_or_else(|| surface(path, query), Err) {
            Ok(surface) => {
                chosen = Some(surface);
                Ok(response)
            }
            Err(refusal) => Err(refusal.response(path)),
        }
    };
    let upgraded = tokio::time::timeout(HANDSHAKE_LIMIT, accept_hdr_async(stream, choose)).await;
    Some((upgraded.ok()?.ok()?, chosen?))
}

fn surface(path: &str, query: Option<&str>) -> Result<Surface, Refusal> {
    match path {
        V1_PATH => Ok(Surface::V1),
        LEGACY_PATH => {
            let app_id = query
                .into_iter()
                .flat_map(|query| query.split('&'))
                .find_map(|pair| pair.strip_prefix("app_id="));
            let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
            if app_id.is_some_and(is_id) { Ok(Surface::Legacy) } else { Err(INVALID_APP_ID) }
        }
        _ => Err(Refusal {
            status: StatusCode::BAD_REQUEST,
            code: "ValidationError",
            message: "Invalid request",
        }),
    }
}

const INVALID_APP_ID: Refusal = Refusal {
    status: StatusCode::UNAUTHORIZED,
    code: "InvalidAppID",
    message: "Your app_id is invalid.",
};

/// The refusal that a fault of the upgrade stands for.
fn spoiled(fault: Option<Fault>) -> Option<Refusal> {
    let refusal = |status, code, message| Some(Refusal { status, code, message });
    match fault? {
        Fault::Refuse401 => Some(INVALID_APP_ID),
        Fault::Refuse403 => refusal(StatusCode::FORBIDDEN, "AccessDenied", "Access denied."),
        Fault::Refuse429 => {
            refusal(StatusCode::TOO_MANY_REQUESTS, "RateLimit", "Too many connections.")
        }
        Fault::Refuse503 => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "Try again later.")
        }
        _ => None,
    }
}

impl Refusal {
    fn response(self, path: &str) -> ErrorResponse {
        let body = serde_json::json!({
            "errors": [{
                "status": self.status.as_u16(), "code": self.code, "message": self.message,
            }],
            "meta": { "endpoint": path, "method": "GET", "timing": 10 },
        })
        .to_string();
        let length = HeaderValue::from(body.len());
        let mut response = ErrorResponse::new(Some(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_chooses_the_surface() {
        let status = |path, query| surface(path, query).map_err(|refusal| refusal.status.as_u16());
        assert_eq!(status(V1_PATH, None), Ok(Surface::V1));
        assert_eq!(status(LEGACY_PATH, Some("app_id=1089")), Ok(Surface::Legacy));
        assert_eq!(status(LEGACY_PATH, Some("l=EN&app_id=1089")), Ok(Surface::Legacy));
        assert_eq!(status(LEGACY_PATH, Some("app_id=abc")), Err(401));
        assert_eq!(status(LEGACY_PATH, None), Err(401));
        assert_eq!(status("/", None), Err(400));
    }
}
