//! Tests over real sockets, files and processes. The server is always the simulated exchange.
#![allow(missing_docs, clippy::unwrap_used)]

mod budget;
mod cli;
mod disk;
mod download;
mod process;
mod stop;
mod support;
