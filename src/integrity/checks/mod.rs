//! The promises of a partition, one check for each, and the words their findings use.
//!
//! `rows` judges the rows as they stream by, `decimals` their digits, `schema` the columns, `footer` what the file says of
//! itself, `sidecar` what is said beside it. Checks collect; none stops another.

pub(crate) mod decimals;
pub(crate) mod footer;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod sidecar;
pub(crate) mod tally;

use std::fmt;

/// Longest text taken over from a file into a finding.
const MAX_SHOWN_CHARS: usize = 200;

/// Text from a file, safe for a terminal: no control characters, not endless.
pub(crate) fn shown(text: impl fmt::Display) -> String {
    let text = text.to_string();
    let mut shown: String = text.chars().take(MAX_SHOWN_CHARS).flat_map(escaped).collect();
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let (plain, escape) = match character {
        c if c.is_control() => (None, Some(c.escape_default())),
        c => (Some(c), None),
    };
    plain.into_iter().chain(escape.into_iter().flatten())
}
