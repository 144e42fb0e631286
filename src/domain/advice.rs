//! What to do about a finding, and the words for it: what stands in backticks can be typed as it
//! stands.

use std::path::PathBuf;

use super::partition::PartitionKey;
use super::series::Kind;
use super::time::Epoch;
use super::words::words;

words! {
    /// What to do about a finding.
    pub enum Advice {
        /// Run `repair`; the rows are good, and something about them is not.
        Repair = "repair",
        /// Run `repair`; rows cannot be trusted.
        RepairRows = "repair_rows",
        /// Run `repair`, which asks for a row again and compares.
        Compare = "compare",
        /// Run `repair --deep`.
        RepairDeep = "repair_deep",
        /// Run `repair`, which asks about the silence once more.
        AskAboutSilence = "ask_about_silence",
        /// Take the file of another tool over.
        Adopt = "adopt",
        /// Download the month again, so that the source is asked for what another tool left.
        Download = "download",
        /// Take the newer prices of the source.
        AcceptRestatement = "accept_restatement",
        /// Download the month, whose lock then gets its whole sidecar back.
        DownloadLocked = "download_locked",
        /// Put the month back, ask for it again, or say that it is to be gone.
        PutBack = "put_back",
        /// Use the build that wrote the file, or write it again in a form that this one reads.
        ReadElsewhere = "read_elsewhere",
        /// End the other tool; the next run moves its file out of the way.
        EndOtherTool = "end_other_tool",
        /// Leave the symbol out of the job.
        LeaveOut = "leave_out",
        /// Move it out of the folder.
        MoveOut = "move_out",
        /// Put what a link leads to in its place.
        ReplaceLink = "replace_link",
        /// Look at the permissions.
        CheckPermissions = "check_permissions",
        /// Look at the rows; they stay as they are.
        LookAtRows = "look_at_rows",
        /// Look at what was set aside.
        LookAtFile = "look_at_file",
        /// Deal with the findings of both files first.
        OthersFirst = "others_first",
    }
}

/// The folder that commands work on if none is named.
const DEFAULT_ROOT: &str = "data_cache";

/// Where an archive is, as far as a command has to say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Its folder; `None` stands for the default one.
    pub root: Option<PathBuf>,
    /// Whether its prices are invented.
    pub is_demo: bool,
    /// Now, if it is known: a month that is over has an end to ask up to.
    pub now: Option<Epoch>,
}

impl Advice {
    /// What to do in the archive at `place`, about `partition` if it is about one.
    pub fn words(self, partition: Option<&PartitionKey>, place: &Place) -> String {
        let repair = |more: &str| place.command(&format!("repair{more}"), partition);
        match self {
            Self::Repair => format!("run `{}`", repair("")),
            Self::RepairRows => {
                format!("run `{}`; the good days are kept and the others asked again", repair(""))
            }
            Self::Compare => {
                format!("run `{}`; it asks again and compares, and the row stays", repair(""))
            }
            Self::RepairDeep => format!(
                "run `{}`; what the source answers alike every time stays",
                repair(" --deep")
            ),
            Self::AskAboutSilence => {
                format!("run `{}`; a silence that another run meets is confirmed", repair(""))
            }
            Self::Adopt if place.is_demo => {
                "move it out of the folder: the prices of this archive are invented".to_owned()
            }
            Self::Adopt => {
                let adopt = place.command("adopt", partition);
                let download = partition.map(|key| format!(", then `{}`", place.download(key)));
                format!("run `{adopt}`{}", download.unwrap_or_default())
            }
            Self::Download => match partition {
                Some(key) => format!(
                    "nothing, unless the source still offers it: then run `{}`",
                    place.download(key)
                ),
                None => "nothing, unless the source still offers it".to_owned(),
            },
            Self::AcceptRestatement => match partition {
                Some(key) => format!("`{}` takes the newer prices", place.acceptance(key)),
                None => "`--accept-restatement` takes the newer prices of a month".to_owned(),
            },
            Self::DownloadLocked => match partition {
                Some(key) => format!(
                    "run `{}`: the sidecar is written again from the file and stays locked",
                    place.download(key)
                ),
                None => "download its month once".to_owned(),
            },
            Self::PutBack => format!(
                "put it back from a copy, or run `{}`; if it was removed on purpose, remove \
                 `.titan/watermark.json` too, which the next run writes again",
                repair("")
            ),
            Self::ReadElsewhere => "use the build that wrote it, or write it again with zstd or \
                 snappy, `epoch` as int64 and prices as float64; until then it stays as it is"
                .to_owned(),
            Self::EndOtherTool => {
                "end the Python tool; the next run over the series moves the file \
                 to quarantine"
                    .to_owned()
            }
            Self::LeaveOut => "nothing; leave it out of the job if you like".to_owned(),
            Self::MoveOut => "move it out of the folder".to_owned(),
            Self::ReplaceLink => "put what it leads to in its place".to_owned(),
            Self::CheckPermissions => "check its permissions, and what lies there".to_owned(),
            Self::LookAtRows => {
                "look at the rows; they are what the source answered and stay as they are"
                    .to_owned()
            }
            Self::LookAtFile => {
                "look at it, and delete it when you need it no more; no run deletes it".to_owned()
            }
            Self::OthersFirst => "deal with the findings of both files first".to_owned(),
        }
    }
}

impl Place {
    /// A command over the symbol of a partition, or over the whole archive.
    fn command(&self, command: &str, partition: Option<&PartitionKey>) -> String {
        let symbol = partition.map(|key| format!(" --symbol {}", key.series.symbol));
        let demo = if self.is_demo { " --demo" } else { "" };
        let symbol = symbol.unwrap_or_default();
        format!("titan-download {command}{symbol}{}{demo}", self.output())
    }

    /// The download of one month, and of no other if that month is known to be over.
    fn download(&self, key: &PartitionKey) -> String {
        let kind = match key.series.kind {
            Kind::Ticks => "ticks".to_owned(),
            Kind::Candles(width) => format!("candles --granularity {width}"),
        };
        let (first, next) = (key.month, key.month.next());
        let is_over = self.now.is_some_and(|now| next.range().start() < now);
        let end = if is_over { format!(" --end-date {next}-01") } else { String::new() };
        let demo = if self.is_demo { " --demo" } else { "" };
        format!(
            "titan-download --symbol {} --kind {kind} --start-date {first}-01{end}{}{demo}",
            key.series.symbol,
            self.output()
        )
    }

    /// The command that takes the newer prices of a month.
    pub fn acceptance(&self, key: &PartitionKey) -> String {
        format!("{} --accept-restatement {}", self.download(key), String::from(key.clone()))
    }

    fn output(&self) -> String {
        let root = self.root.as_ref().filter(|root| root.as_os_str() != DEFAULT_ROOT);
        root.map_or_else(String::new, |root| {
            format!(" --output {}", shell_word(&root.display().to_string()))
        })
    }
}

/// A path as it can be typed.
fn shell_word(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@".contains(c);
    match path.chars().all(is_plain) && !path.starts_with('-') && !path.is_empty() {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(advice: Advice, key: &str, root: &str, is_demo: bool, expected: &str) {
        let place = Place {
            root: Some(root.into()),
            is_demo,
            now: Some("2026-04".parse::<super::super::Month>().unwrap().range().start().plus(1)),
        };
        assert_eq!(advice.words(key.parse().ok().as_ref(), &place), expected);
    }

    #[test]
    fn commands_name_folder_symbol_and_demo() {
        let ticks = "R_100/ticks/2026-03";
        check(
            Advice::Repair,
            ticks,
            "data_cache",
            false,
            "run `titan-download repair --symbol R_100`",
        );
        let expected = "run `titan-download repair --output 'my data' --demo`";
        check(Advice::Repair, "", "my data", true, expected);
        let expected = "`titan-download --symbol R_100 --kind candles --granularity 60 --start-date \
            2026-04-01 --output /d --demo --accept-restatement R_100/candles_60/2026-04` takes the \
            newer prices";
        check(Advice::AcceptRestatement, "R_100/candles_60/2026-04", "/d", true, expected);
        let expected = "run `titan-download adopt --symbol R_100 --output /d`, then `titan-download \
            --symbol R_100 --kind ticks --start-date 2026-03-01 --end-date 2026-04-01 --output /d`";
        check(Advice::Adopt, ticks, "/d", false, expected);
    }
}
