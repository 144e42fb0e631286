//! The commands that print what a shell or a reader of manuals wants: `completions` and `man`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

const COMPLETIONS_HELP: &str = "\
Examples:
  bash   titan-download completions bash > ~/.local/share/bash-completion/completions/titan-download
  zsh    titan-download completions zsh > \"${fpath[1]}/_titan-download\"
  fish   titan-download completions fish > ~/.config/fish/completions/titan-download.fish

Exit codes: 0 printed, 1 stdout could not be written, 2 the shell is not known";

const MAN_HELP: &str = "\
Examples:
  titan-download man | man -l -
  titan-download man verify | man -l -
  titan-download man --dir ~/.local/share/man/man1

Exit codes: 0 printed or written, 1 stdout could not be written, 2 no such command, or the folder
cannot be written";

/// A shell that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// GNU bash with bash-completion.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}

/// `titan-download completions`.
#[derive(Debug, Clone, Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct CompletionsArgs {
    /// Print completions for this shell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub shell: ShellName,
}

/// `titan-download man`.
#[derive(Debug, Clone, Args)]
#[command(after_help = MAN_HELP)]
pub struct ManArgs {
    /// Print the page of this command instead of the one of the program
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Option<String>,
    /// Write the pages of the program and of every command into this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}
