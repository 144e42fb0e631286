//! The options of `simulate`.

use std::path::PathBuf;

use clap::Args;

use super::TalkArgs;

const SIMULATE_HELP: &str = "\
Examples:
  titan-download simulate --port 8080 --seed 7
  titan-download simulate --fault hang=0.01 --limit-per-minute 100
  titan-download simulate --dump R_100 2026-03-01 2026-03-02

Exit codes: 0 served until it was told to stop, or printed, 1 the log or stdout could not be written,
2 an option is wrong or the port is taken";

fn simulate_long_help() -> String {
    let faults = super::super::wiring::fault_list();
    let quirks = super::super::wiring::quirk_list();
    let world = super::super::wiring::world_list();
    format!(
        "{SIMULATE_HELP}\n\nFaults, each with a probability or a range of epochs:\n{faults}\n\n\
         Quirks, in which every answer differs from the API as it is known:\n{quirks}\n\n\
         Quirks of time, each with its value; SYMBOL may be `*`, a TIME (A, B) is an epoch, a day or\n\
         a time like 2026-03-07T12:00:05Z, B is exclusive:\n{world}"
    )
}

/// `titan-download simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SIMULATE_HELP, after_long_help = simulate_long_help())]
pub struct SimulateArgs {
    /// Print the true ticks of SYMBOL from FROM to before TO as CSV instead of serving
    ///
    /// FROM and TO are epochs or days. With --granularity the candles are printed.
    #[arg(long, num_args = 3, value_names = ["SYMBOL", "FROM", "TO"], allow_negative_numbers = true)]
    pub dump: Option<Vec<String>>,
    /// Print candles of this width in seconds
    #[arg(long, value_name = "SECONDS", requires = "dump")]
    pub granularity: Option<String>,
    /// Print what history had at this epoch, day or time, whatever came later [default: --now]
    #[arg(long, value_name = "EPOCH|DATE|TIME", requires = "dump", allow_negative_numbers = true)]
    pub as_of: Option<String>,
    /// What is served.
    #[command(flatten)]
    pub market: MarketArgs,
    /// How it is served.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// What the simulated exchange serves.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Market")]
pub struct MarketArgs {
    /// Make every price from this number
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: String,
    /// Start the clock at this epoch, day or time like 2026-03-07T12:00:05Z [default: now]
    #[arg(long, value_name = "EPOCH|DATE|TIME", allow_negative_numbers = true)]
    pub now: Option<String>,
    /// Run the clock this many times as fast; 0 stands still
    #[arg(long, value_name = "X", default_value = "1", allow_negative_numbers = true)]
    pub speed: String,
    /// Keep this many days of history
    #[arg(long, value_name = "N", default_value = "365")]
    pub history_days: String,
    /// Let the months bring what this number decides: symbols that begin and end, holes filled later,
    /// corrected prices, dead feeds, a wrong clock
    ///
    /// Something happens from A to before B, without them from the year before --now to the end of
    /// the year after it. The same SEED and the same span are the same world. --quirk NAME=... adds.
    #[arg(long, value_name = "SEED[@A..B]")]
    pub world: Option<String>,
    /// Leave out the short silent stretches of the feed
    #[arg(long)]
    pub no_holes: bool,
    /// Serve recorded ticks (CSV with the header `epoch,quote`) in the place of SYMBOL
    ///
    /// Without SYMBOL the name of the file is the symbol.
    #[arg(long = "replay", value_name = "SYMBOL=FILE|FILE")]
    pub replays: Vec<String>,
}

/// How the simulated exchange serves and misbehaves.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub struct ServeArgs {
    /// Listen on this loopback port; 0 takes a free one
    #[arg(long, value_name = "N", default_value = "0")]
    pub port: String,
    /// Put at most this many rows into one answer [default: 1000 on v1, 5000 on legacy]
    #[arg(long, value_name = "N")]
    pub page_cap: Option<String>,
    /// Answer a window across the wall with its younger part, or substitute the newest data
    #[arg(long, value_name = "younger|substitute", default_value = "younger")]
    pub straddle: String,
    /// Wait this long before each answer
    #[arg(long, value_name = "DURATION", default_value = "0ms")]
    pub latency: String,
    /// Refuse more requests in a minute than this
    #[arg(long, value_name = "N|none", default_value = "220")]
    pub limit_per_minute: String,
    /// Refuse more requests in an hour than this
    #[arg(long, value_name = "N|none", default_value = "14400")]
    pub limit_per_hour: String,
    /// Refuse more requests in a minute than this, without admitting it
    #[arg(long, value_name = "N|none", default_value = "none")]
    pub hidden_limit: String,
    /// Misbehave with this probability, like hang=0.01; repeat for more
    ///
    /// NAME=A..B spoils every request whose window touches the seconds from epoch A to before B.
    #[arg(long = "fault", value_name = "NAME=PROBABILITY")]
    pub faults: Vec<String>,
    /// Differ from the API as it is known in this way; repeat for more
    ///
    /// Every answer is like that. For trying out what notices it, above all `doctor`. NAME=... says
    /// what happens to a symbol, the clock or the history over time, like
    /// hole=R_100@2026-03-07..2026-03-08@2026-03-09.
    #[arg(long = "quirk", value_name = "NAME|NAME=...", value_delimiter = ',')]
    pub quirks: Vec<String>,
    /// Write each request to this file, as CSV, or as JSON lines if it ends in .jsonl
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Accept only this token on the legacy API; it is a pretended one, never give a real one
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
}
