//! What an option takes, and the texts in which variables and files may say it.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction};

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Yes or no.
    Flag,
    /// How often it was said.
    Count,
    /// One text, a number included.
    Text,
    /// The name of a file or a folder, in whatever bytes.
    Path,
    /// Any number of texts.
    List,
}

impl Shape {
    /// What `arg` takes.
    pub fn of(arg: &Arg) -> Self {
        let path: ValueParser = clap::value_parser!(PathBuf);
        match arg.get_action() {
            ArgAction::SetTrue => Self::Flag,
            ArgAction::Count => Self::Count,
            ArgAction::Append => Self::List,
            _ if arg.get_value_parser().type_id() == path.type_id() => Self::Path,
            _ => Self::Text,
        }
    }

    /// The text as the definition of the option takes it, or what is wrong and what to write.
    pub(super) fn read(self, text: &str) -> Result<String, (&'static str, &'static str)> {
        match self {
            Self::Flag => match yes_or_no(text) {
                Some(answer) => Ok(answer.to_string()),
                None => Err(("is neither yes nor no", "write `true` or `false`")),
            },
            Self::Count => match text.trim().parse::<u8>() {
                Ok(count) => Ok(count.to_string()),
                Err(_) => Err(("is not a small number", "write a number from 0 to 3")),
            },
            Self::Text | Self::Path | Self::List => Ok(text.to_owned()),
        }
    }

    /// Tells whether a text that was read says nothing: a flag that is not raised.
    pub(super) fn is_off(self, text: &str) -> bool {
        match self {
            Self::Flag => text == "false",
            Self::Count => text == "0",
            Self::Text | Self::Path | Self::List => false,
        }
    }
}

/// The words that clap takes in variables of flags.
fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}
