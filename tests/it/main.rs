//! Tests over real sockets, files and processes. The server is always the simulated exchange.
#![allow(missing_docs, clippy::unwrap_used)]

mod cli;
mod damage;
mod download;
mod process;
mod proof;
mod support;
