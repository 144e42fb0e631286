//! Tests over real sockets, files and processes. The server is always the simulated exchange.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod adopt;
mod budget;
mod cli;
mod corpus;
// The step counter is in binaries built for tests only.
#[cfg(debug_assertions)]
mod crash;
mod damage;
mod disk;
mod download;
mod faults;
mod mend;
mod nightly;
mod nights;
mod old_cache;
mod outage;
mod owners;
mod pace;
mod poison;
mod process;
mod proof;
mod restate;
mod status;
mod stop;
mod support;
