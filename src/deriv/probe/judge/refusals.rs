//! Requests that have to be refused, and with which code.

use super::super::answer::{Answer, NoRows};
use super::rows;
use crate::domain::Judged;

/// The answer to a request that is wrong; `codes` are those that are expected.
pub(in super::super) fn refused(answer: &Answer, codes: &[&str]) -> Judged {
    match answer.refusal() {
        Some(refusal) if codes.contains(&refusal.code.as_str()) => Judged::ok(refusal.to_string()),
        Some(refusal) => Judged::differs(
            refusal.to_string(),
            "unless this code is known, such a request is made twice before it is given up",
        ),
        None => {
            let seen = match answer.epochs() {
                Ok(epochs) => format!("answered with {}", rows(epochs.len())),
                Err(why) => why.to_string(),
            };
            Judged::differs(seen, "a wrong request looks like a right one without rows")
        }
    }
}

/// The answer for a closed market that is none with rows.
pub(in super::super) fn closed_market(why: &NoRows) -> Judged {
    Judged::differs(
        why.to_string(),
        "week-ends of session markets count as failed and are asked again by every run",
    )
}
