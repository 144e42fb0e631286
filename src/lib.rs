//! Downloads the history of Deriv market data into an archive that can prove itself.
//!
//! The folders import downwards only:
//!
//! | module | what lives there | imports |
//! |---|---|---|
//! | [`cli`] | arguments, settings, commands, progress, reports: all that prints | all below |
//! | [`download`] | what to ask, what it proves, when a month is published | `domain` |
//! | [`resilience`] | throttle, breaker, retry: each wraps a source and is one | `domain` |
//! | [`deriv`] | one exchange: connection, wire format, its quirks | `domain` |
//! | [`storage`] | staging, encoding, atomic publishing, locks | `domain`, `format` |
//! | [`integrity`] | reads the disk with its own eyes | `domain`, `format` |
//! | [`simulator`] | the simulated exchange; knows the API, never `deriv` | `domain` |
//! | [`conformance`] | what a source has to keep, asked of a live one | `domain` |
//! | [`mod@format`] | the contract on disk, shared by writer and checker | `domain` |
//! | [`domain`] | values and the two seams | nothing of ours |

// Tests prepare and spoil folders as they like.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod cli;
pub mod conformance;
pub mod deriv;
pub mod domain;
pub mod download;
pub mod format;
pub mod integrity;
pub mod resilience;
pub mod simulator;
pub mod storage;
