//! Tests over real sockets, files and processes. The server is always the simulated exchange.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod adopt;
mod agreement;
mod bad_input;
mod browser;
mod budget;
mod calendar;
mod cli;
mod config;
mod config_docs;
mod conformance;
mod connection;
mod corpus;
// The step counter is in binaries built for tests only.
#[cfg(debug_assertions)]
mod crash;
mod cron;
mod damage;
mod disk;
mod docs;
mod doctor;
mod download;
mod faults;
mod help;
mod links;
mod mend;
mod newcomer;
mod nightly;
mod nights;
mod old_cache;
mod outage;
mod outside;
mod owners;
mod pace;
mod poison;
mod process;
mod proof;
mod python;
mod record;
mod rehearsal;
mod remedies;
mod replay;
mod report;
mod restate;
mod screen;
mod secrets;
mod several;
mod shell;
mod status;
mod stop;
mod support;
mod tls;
mod variables;
mod views;
