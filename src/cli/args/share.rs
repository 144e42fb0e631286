//! The commands that make an archive readable to others: `views` and `report`.

use std::path::PathBuf;

use clap::Args;

use super::TalkArgs;

const VIEWS_HELP: &str = "\
Examples:
  titan-download views --sql > views.sql && duckdb -init views.sql
  titan-download views --sql --output /srv/market-data/data_cache

Then, in DuckDB:
  SELECT symbol, count(*) FROM ticks GROUP BY symbol;
  SELECT * FROM bars(300) WHERE symbol = 'R_100' LIMIT 10;
  SELECT * FROM filled('R_100', 1790000000, 1790003600, 1);

Exit codes: 0 printed, 1 the archive holds nothing, 2 the folder cannot be read or an option is wrong";

const REPORT_HELP: &str = "\
Examples:
  titan-download report --html report.html
  titan-download report --html - --output /srv/market-data/data_cache > report.html

The page is one file that needs no network, no other file and no script: it can be sent and printed.
An earlier page of this program is replaced as a whole; anything else is left alone.

Exit codes: 0 written, 1 the archive holds nothing, or something of it cannot be read (the page says
what), 2 the folder cannot be read, the file cannot be written or an option is wrong";

/// `titan-download views`.
#[derive(Debug, Clone, Args)]
#[command(after_help = VIEWS_HELP)]
pub struct ViewsArgs {
    /// Look at the archive in this folder
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Look at the archive in this folder; the same as --output
    #[arg(value_name = "FOLDER", conflicts_with = "output")]
    pub path: Option<PathBuf>,
    /// Print the views as SQL; without it they are only listed
    #[arg(long)]
    pub sql: bool,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// `titan-download report`.
#[derive(Debug, Clone, Args)]
#[command(after_help = REPORT_HELP)]
pub struct ReportArgs {
    /// Write the page into this file; `-` prints it
    #[arg(long, value_name = "FILE")]
    pub html: PathBuf,
    /// Look at the archive in this folder
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Look at the archive in this folder; the same as --output
    #[arg(value_name = "FOLDER", conflicts_with = "output")]
    pub path: Option<PathBuf>,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}
