//! What `doctor` found, as a table and as JSON.
//!
//! `doctor` adds `version`, `target`, `endpoint`, `api`, `symbol`, `local_time`, `server_time` (null if
//! it was not told), `requests`, `counts` (by verdict), and `probes`: `group` (`network`, `machine`),
//! `name`, `verdict` (`ok`, `differs`, `failed`, `skipped`), `assumed`, `seen`, `means`, `exchanges`
//! (`request`, `response`, `response_bytes`, `took_millis`; long answers are cut short).

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::deriv::probe::Examination;
use crate::domain::{Epoch, Probe, Symbol, Verdict};

use super::super::exit::ExitCode;
use super::super::settings::Api;
use super::calendar::Canvas;
use super::{escaped, json};

/// Columns where the terminal does not say.
const DEFAULT_WIDTH: usize = 100;

/// Every verdict, worst first.
const VERDICTS: [Verdict; 4] = [Verdict::Failed, Verdict::Differs, Verdict::Ok, Verdict::Skipped];

/// Everything that was examined.
#[derive(Debug, Clone)]
pub struct Examined {
    /// Where was asked, without secrets.
    pub endpoint: String,
    /// Which API.
    pub api: Api,
    /// With which symbol.
    pub symbol: Symbol,
    /// When it began, by this machine.
    pub began: Epoch,
    /// What was found of this machine.
    pub machine: Vec<Probe>,
    /// What was found of the API.
    pub network: Examination,
}

impl Examined {
    /// Every row with its group.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &Probe)> {
        let network = self.network.probes.iter().map(|probe| ("network", probe));
        network.chain(self.machine.iter().map(|probe| ("machine", probe)))
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows().filter(|(_, probe)| probe.verdict == verdict).count()
    }
}

/// The bug report.
pub fn json(shown: &Examined, session: &str, exit: ExitCode) -> Value {
    let row = |(group, probe): (&'static str, &Probe)| {
        let mut value = serde_json::to_value(probe).expect("plain values always become JSON");
        value["group"] = group.into();
        value
    };
    let counts = VERDICTS.map(|verdict| (verdict.word().to_owned(), shown.count(verdict).into()));
    let body = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "endpoint": shown.endpoint,
        "api": shown.api.word(),
        "symbol": shown.symbol,
        "local_time": shown.began,
        "server_time": shown.network.server_time,
        "requests": shown.network.n_requests,
        "counts": Value::Object(counts.into_iter().collect()),
        "probes": shown.rows().map(row).collect::<Vec<_>>(),
    });
    json::with_head("doctor", session, exit, &Value::Null, body)
}

/// The table.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, shown: &Examined, canvas: Canvas) -> io::Result<()> {
    let width = canvas.width.unwrap_or(DEFAULT_WIDTH).max(40);
    writeln!(
        out,
        "`{}` ({}) examined with `{}`, {} requests",
        escaped(&shown.endpoint),
        shown.api.word(),
        shown.symbol,
        shown.network.n_requests
    )?;
    let name_width = shown.rows().map(|(_, probe)| probe.name.len()).max().unwrap_or(0);
    let mut group = "";
    for (of, probe) in shown.rows() {
        if of != group {
            group = of;
            writeln!(out, "\n{group}")?;
        }
        write_row(out, probe, name_width, width, canvas.colours)?;
    }
    let counts: Vec<_> = VERDICTS
        .into_iter()
        .filter(|verdict| shown.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", shown.count(verdict), verdict.word()))
        .collect();
    writeln!(out, "\n{}", counts.join(", "))?;
    if shown.count(Verdict::Failed) + shown.count(Verdict::Differs) > 0 {
        writeln!(
            out,
            "`titan-download doctor --json` is a bug report: it shows what was asked and answered"
        )?;
    }
    Ok(())
}

fn write_row(
    out: &mut dyn Write,
    probe: &Probe,
    name_width: usize,
    width: usize,
    colours: bool,
) -> io::Result<()> {
    let word = format!("{:7}", probe.verdict.word());
    let word = match colours {
        true => format!("\u{1b}[{}m{word}\u{1b}[0m", colour(probe.verdict)),
        false => word,
    };
    let indent = 2 + 7 + 2 + name_width + 2;
    let head = format!("  {word}  {:name_width$}  ", probe.name);
    let mut texts = vec![(head, escaped(&probe.seen))];
    if matches!(probe.verdict, Verdict::Differs | Verdict::Failed) {
        texts.push((" ".repeat(indent), format!("assumed: {}", escaped(&probe.assumed))));
        if !probe.means.is_empty() {
            texts.push((" ".repeat(indent), format!("means: {}", escaped(&probe.means))));
        }
    }
    for (mut head, text) in texts {
        for line in wrapped(&text, width.saturating_sub(indent).max(20)) {
            writeln!(out, "{}", format!("{head}{line}").trim_end())?;
            head = " ".repeat(indent);
        }
    }
    Ok(())
}

/// Green, yellow, red and dim; the words say the same.
fn colour(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 32,
        Verdict::Differs => 33,
        Verdict::Failed => 31,
        Verdict::Skipped => 2,
    }
}

/// Lines of at most `width` characters, cut at spaces where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("never empty");
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= width {
                if gap > 0 {
                    line.push(' ');
                }
                line.extend(&word);
                break;
            }
            if used == 0 {
                line.extend(word.drain(..width));
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use crate::domain::{Judged, ProbeExchange};

    use super::*;

    fn examined() -> Examined {
        let probe = |name, judged| Probe::new(name, "something is so", judged);
        let mut cap = probe(
            "page_cap",
            Judged::differs(
                "5000 rows where 10000 were asked, which is a text so long that it has to be wrapped",
                "fewer requests are needed than was thought before it was looked at",
            ),
        );
        cap.exchanges.push(ProbeExchange {
            request: json!({"ticks_history": "R_100"}),
            response: json!({"history": {"times": [1, 2, "… 4997 more …", 9]}}),
            response_bytes: 120_000,
            took_millis: 80,
        });
        let network = vec![
            probe("tcp", Judged::ok("after 12 ms")),
            cap,
            probe("wall", Judged::failed("refused with `X\u{1b}[2J`: no", "")),
            probe("idle", Judged::skipped("ask for it with `--long`")),
        ];
        Examined {
            endpoint: "wss://h/p".into(),
            api: Api::V1,
            symbol: "R_100".parse().unwrap(),
            began: Epoch::new(1_773_576_000),
            machine: vec![probe("output", Judged::ok("written"))],
            network: Examination {
                probes: network,
                n_requests: 24,
                server_time: Some(Epoch::new(1_773_576_001)),
                is_reached: true,
            },
        }
    }

    fn text(width: Option<usize>, colours: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, &examined(), Canvas { width, colours }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_wraps_and_is_harmless() {
        insta::assert_snapshot!(text(Some(70), false));
        for width in [1, 40, 70, 200] {
            let longest = text(Some(width), false).lines().map(|line| line.chars().count()).max();
            assert!(longest.unwrap() <= width.max(90), "{width}");
        }
    }

    #[test]
    fn colour_only_repeats_what_the_words_say() {
        let mut plain = text(None, true);
        for code in ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"] {
            assert!(plain.contains(code));
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, text(None, false));
    }

    #[test]
    fn the_bug_report_is_whole() {
        let mut value = json(&examined(), "s", ExitCode::Incomplete);
        value["target"] = "x".into();
        insta::assert_json_snapshot!(value);
    }
}
