//! Tests over real sockets, files and processes. The server is always the simulated exchange.
#![allow(missing_docs, clippy::unwrap_used)]

mod cli;
mod corpus;
mod download;
mod faults;
mod nights;
mod poison;
mod process;
mod support;
