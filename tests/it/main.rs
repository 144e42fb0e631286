//! Tests over real sockets, files and processes. The server is always the simulated exchange.
#![allow(missing_docs, clippy::unwrap_used)]

mod adopt;
mod cli;
mod download;
mod old_cache;
mod process;
mod support;
