//! Tests over real sockets, files and processes. The server is always the simulated exchange.
#![allow(missing_docs)]

mod download;
mod support;
