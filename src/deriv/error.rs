//! What the API's refusals mean, and how they are told.
//!
//! The only place that knows error codes. Text of the server passes through [`printable`] before
//! it reaches a message, so it can neither steer a terminal nor fill a log.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Defect, ErrorKind, SourceError};

/// Longest piece of server text shown, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// What can be done about an error code of the API.
///
/// Source: the published error codes and what users reported of them; codes not listed are
/// [`ErrorKind::Unknown`].
pub(super) fn kind_of(code: &str) -> ErrorKind {
    match code {
        "RateLimit" => ErrorKind::RateLimited,
        "Timeout" | "WrongResponse" | "CallError" | "InternalError" | "InternalServerError" => {
            ErrorKind::ServerFault
        }
        "OutputValidationFailed" | "ResponseTooLarge" => ErrorKind::TooLarge,
        "InputValidationFailed"
        | "InvalidStartEnd"
        | "InvalidGranularity"
        | "StreamingNotAllowed"
        | "UnrecognisedRequest"
        | "BadRequest" => ErrorKind::Rejected,
        "InvalidSymbol" => ErrorKind::UnknownSymbol,
        "InvalidToken" | "AuthorizationRequired" | "PermissionDenied" | "InvalidAppID" => {
            ErrorKind::Unauthorized
        }
        "MarketIsClosed" | "NoRealtimeQuotes" => ErrorKind::MarketClosed,
        _ => ErrorKind::Unknown,
    }
}

/// Makes the text of a server safe to print: control characters escaped, at most 200 characters.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (n_chars, c) in text.chars().enumerate() {
        if n_chars == MAX_SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that change the direction or the joining of what is printed around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// An answer that was an error.
pub(super) fn refused(what: &dyn fmt::Display, code: &str, message: &str) -> SourceError {
    let (code, message) = (code.trim(), message.trim());
    let kind = kind_of(code);
    let shown = match (code.is_empty(), message.is_empty()) {
        (true, true) => "no reason given".to_owned(),
        (true, false) => printable(message),
        (false, true) => format!("`{}`", printable(code)),
        (false, false) => format!("`{}`: {}", printable(code), printable(message)),
    };
    let message = match kind {
        ErrorKind::RateLimited => {
            format!("Deriv refused the request for {what} as too frequent ({shown})")
        }
        ErrorKind::ServerFault => format!("Deriv failed on the request for {what} ({shown})"),
        ErrorKind::Unauthorized => format!(
            "Deriv refused the request for {what} ({shown}); check `TITAN_TOKEN` or `--token-file`"
        ),
        _ => format!("Deriv refused the request for {what} ({shown})"),
    };
    SourceError::new(kind, message)
}

/// An answer that is not in good form.
pub(super) fn malformed(
    defect: Defect,
    what: &dyn fmt::Display,
    problem: impl fmt::Display,
) -> SourceError {
    let message = format!("the answer for {what} is not usable: {problem}");
    SourceError::new(ErrorKind::Malformed, message).with_defect(defect)
}

/// Why a call got no answer; one loss is told to every call it hit, hence `Clone`.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    /// What went wrong, without what was asked.
    pub(super) message: String,
    pub(super) connection: Option<u64>,
    pub(super) retry_after: Option<Duration>,
    pub(super) cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), connection: None, retry_after: None, cause: None }
    }

    pub(super) fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    pub(super) fn on_connection(mut self, connection: u64) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The failure as the caller sees it, with what was asked.
    pub(super) fn about(self, what: &dyn fmt::Display) -> SourceError {
        let mut error = SourceError::new(self.kind, format!("no {what}: {}", self.message));
        error.connection = self.connection;
        error.retry_after = self.retry_after;
        error.cause = self.cause.map(Into::into);
        error.defect = match self.kind {
            ErrorKind::Malformed => Some(Defect::Unreadable),
            ErrorKind::TooLarge => Some(Defect::TooLarge),
            _ => None,
        };
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_consequence() {
        let table = [
            (ErrorKind::RateLimited, "RateLimit"),
            (
                ErrorKind::ServerFault,
                "Timeout WrongResponse CallError InternalError InternalServerError",
            ),
            (ErrorKind::TooLarge, "OutputValidationFailed ResponseTooLarge"),
            (
                ErrorKind::Rejected,
                "InputValidationFailed InvalidStartEnd InvalidGranularity StreamingNotAllowed \
                 UnrecognisedRequest BadRequest",
            ),
            (ErrorKind::UnknownSymbol, "InvalidSymbol"),
            (
                ErrorKind::Unauthorized,
                "InvalidToken AuthorizationRequired PermissionDenied InvalidAppID",
            ),
            (ErrorKind::MarketClosed, "MarketIsClosed NoRealtimeQuotes"),
            (ErrorKind::Unknown, "SomethingNew ratelimit"),
        ];
        for (kind, codes) in table {
            for code in codes.split_whitespace() {
                assert_eq!(kind_of(code), kind, "{code}");
            }
        }
    }

    #[test]
    fn an_unknown_refusal_shows_its_code_and_text() {
        let error = refused(&"R_100 ticks", "Novelty", "Try \u{1b}[2Jagain");
        assert_eq!(error.kind, ErrorKind::Unknown);
        assert_eq!(
            error.message,
            "Deriv refused the request for R_100 ticks (`Novelty`: Try \\u{1b}[2Jagain)"
        );
        assert!(refused(&"x", "", "").message.ends_with("(no reason given)"));
    }

    #[test]
    fn server_text_is_harmless() {
        assert_eq!(printable("a\nb\u{202e}c"), "a\\u{a}b\\u{202e}c");
        assert_eq!(printable(&"é".repeat(500)).chars().count(), MAX_SHOWN_CHARS + 1);
    }
}
