//! The settings of the main job, each with the place it comes from: as a configuration file that
//! says the same, or as one object. Secrets are not shown, not even in part.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::args::{FullJob, JobArgs, Listed, Origin, Parsed, Shape, variable};
use super::super::exit::ExitCode;
use super::super::settings::{self, Api, DownloadSettings, Outside};
use super::json::with_head;

/// Where the comments begin.
const COMMENTS_AT: usize = 44;

/// An option that is there for trying things out; listed only if somebody set it.
const HIDDEN: &str = "share-pace";

/// What is shown.
pub struct Shown<'a> {
    /// The options of the main job.
    pub parsed: &'a Parsed,
    /// Where the token of the variable comes from, if there is one.
    pub token: Option<&'a Origin>,
    /// Knows how endpoints are shown.
    pub outside: &'a Outside<'a>,
    /// What the settings come to, if a download could start with them.
    pub settings: Option<&'a DownloadSettings>,
}

/// One option as it is shown.
struct Row<'a> {
    listed: &'a Listed,
    /// None if it is not set, and there is no default.
    values: Vec<String>,
    /// Whether a part of it is kept back.
    is_masked: bool,
}

impl Shown<'_> {
    fn rows(&self) -> Vec<Row<'_>> {
        let is_shown = |listed: &&Listed| listed.option != HIDDEN || !listed.values.is_empty();
        self.parsed.listed.iter().filter(is_shown).map(|listed| self.row(listed)).collect()
    }

    fn row<'a>(&self, listed: &'a Listed) -> Row<'a> {
        let given = listed.values.iter().filter(|value| !value.trim().is_empty());
        let mut values: Vec<_> = given.cloned().collect();
        let mut is_masked = false;
        if listed.option == "endpoint" && !values.is_empty() {
            // Its query may hold a password; what is no endpoint may hold anything.
            let shown = (self.outside.endpoint)(self.api(), values.first().map(String::as_str));
            let shown: Vec<_> = shown.into_iter().map(|endpoint| endpoint.shown).collect();
            is_masked = shown != values;
            values = shown;
        } else if values.is_empty() {
            values.extend(self.derived(&listed.option));
        }
        Row { listed, values, is_masked }
    }

    fn api(&self) -> Api {
        match self.parsed.cli.download.place.source.api.trim() {
            "legacy" => Api::Legacy,
            _ => Api::V1,
        }
    }

    /// The default of an option that follows from others.
    fn derived(&self, option: &str) -> Option<String> {
        let args = &self.parsed.cli.download;
        match option {
            "months" if !args.what.test && args.what.start_date.is_none() => Some("1".to_owned()),
            "rate" if args.place.source.demo => Some("unlimited".to_owned()),
            "rate" => Some(settings::DEFAULT_RATE.to_string()),
            "endpoint" if !args.place.source.demo => {
                (self.outside.endpoint)(self.api(), None).ok().map(|endpoint| endpoint.shown)
            }
            _ => None,
        }
    }

    /// The jobs that count.
    fn jobs(&self) -> impl Iterator<Item = (&JobArgs, FullJob)> {
        let args = &self.parsed.cli.download;
        let origins = &self.parsed.origins;
        let count = !origins.of("symbol").is_above_file();
        let jobs = args.what.jobs.iter().filter(move |_| count);
        jobs.map(move |job| (job, job.over(args, origins)))
    }

    /// The series of it all, one text each.
    fn series(&self) -> Vec<String> {
        let wanted = self.settings.iter().flat_map(|settings| &settings.request.wanted);
        wanted.map(|wanted| wanted.series.to_string()).collect()
    }
}

/// Where a value comes from, in a few words.
fn place(option: &str, origin: &Origin) -> String {
    match origin {
        Origin::Flag => format!("--{option}"),
        Origin::Environment => variable(option),
        Origin::EnvFile => format!("{} in .env", variable(option)),
        Origin::ConfigFile { path, line } => format!("{path} line {line}"),
        Origin::Default => "default".to_owned(),
    }
}

/// Writes the settings as a configuration file.
///
/// # Errors
///
/// If `out` takes no more.
pub fn write(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    writeln!(out, "# The settings that count, each with the place it comes from.")?;
    let mut group = "";
    for row in shown.rows() {
        if row.listed.group != group {
            group = &row.listed.group;
            writeln!(out, "\n# {}", group.to_lowercase())?;
        }
        let (option, origin) = (&row.listed.option, &row.listed.origin);
        if row.values.is_empty() && !row.is_masked {
            writeln!(out, "{:COMMENTS_AT$} # not set", format!("# {option} ="))?;
            continue;
        }
        let mark = if row.is_masked { "# " } else { "" };
        let line = format!("{mark}{option} = {}", toml_value(row.listed.shape, &row.values));
        let kept_back = if row.is_masked { ", not shown in full" } else { "" };
        writeln!(out, "{line:COMMENTS_AT$} # {}{kept_back}", place(option, origin))?;
        if option == "token-file" {
            write_token(out, shown)?;
        }
    }
    if !shown.rows().iter().any(|row| row.listed.option == "token-file" && !row.values.is_empty()) {
        writeln!(out)?;
        write_token(out, shown)?;
    }
    for (job, full) in shown.jobs() {
        write_job(out, job, &full)?;
    }
    let series = shown.series();
    if !series.is_empty() {
        writeln!(out, "\n# {} series: {}", series.len(), series.join(", "))?;
    }
    Ok(())
}

fn write_token(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    match shown.token {
        Some(origin) => writeln!(out, "# token: set, not shown; {}", place("token", origin)),
        None => writeln!(out, "# token: not set by a variable"),
    }
}

fn write_job(out: &mut dyn Write, job: &JobArgs, full: &FullJob) -> io::Result<()> {
    writeln!(out, "\n{:COMMENTS_AT$} # {}", "[[series]]", place("series", &job.origin))?;
    for (option, shape, values) in values_of(full) {
        let line = format!("{option} = {}", toml_value(shape, &values));
        writeln!(out, "{line:COMMENTS_AT$} # {}", place(option, full.origins.of(option)))?;
    }
    Ok(())
}

/// What a job comes to, in the order of its keys.
fn values_of(full: &FullJob) -> Vec<(&'static str, Shape, Vec<String>)> {
    let what = &full.what;
    let list = |values: &[String]| {
        let said = values.iter().filter(|value| !value.trim().is_empty());
        said.cloned().collect::<Vec<_>>()
    };
    let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
    let values = [
        ("symbol", Shape::List, list(&what.symbols)),
        ("kind", Shape::List, list(&what.kinds)),
        ("granularity", Shape::List, list(&what.granularities)),
        ("months", Shape::Text, one(&what.months)),
        ("start-date", Shape::Text, one(&what.start_date)),
        ("end-date", Shape::Text, one(&what.end_date)),
        ("gap-threshold", Shape::List, list(&full.gap_threshold)),
    ];
    values.into_iter().filter(|(_, _, values)| !values.is_empty()).collect()
}

/// A value as a configuration file has it.
fn toml_value(shape: Shape, values: &[String]) -> String {
    match (shape, values) {
        (Shape::Flag | Shape::Count, [value]) => value.clone(),
        (Shape::Text, [value]) => toml_scalar(value),
        (Shape::Path, [value]) => toml_text(value),
        _ => {
            let values: Vec<_> = values.iter().map(|value| toml_scalar(value)).collect();
            format!("[{}]", values.join(", "))
        }
    }
}

fn toml_scalar(value: &str) -> String {
    match value.parse::<i64>() {
        Ok(number) if number.to_string() == value => value.to_owned(),
        _ => toml_text(value),
    }
}

/// A text in quotes, with everything escaped that could steer a terminal.
fn toml_text(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        let steers =
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if steers => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// The settings as one object.
pub fn json(shown: &Shown<'_>, session: &str) -> Value {
    let mut settings = Map::new();
    for row in shown.rows() {
        let mut value = json_origin(&row.listed.origin);
        value.insert("value".into(), json_value(row.listed.shape, &row.values));
        value.insert("masked".into(), row.is_masked.into());
        settings.insert(row.listed.option.clone(), value.into());
    }
    let mut token = json_origin(shown.token.unwrap_or(&Origin::Default));
    token.insert("value".into(), Value::Null);
    token.insert("masked".into(), shown.token.is_some().into());
    settings.insert("token".into(), token.into());
    let job = |(job, full): (&JobArgs, FullJob)| {
        let mut object = json_origin(&job.origin);
        for (option, shape, values) in values_of(&full) {
            let mut value = json_origin(full.origins.of(option));
            value.insert("value".into(), json_value(shape, &values));
            object.insert(option.to_owned(), value.into());
        }
        Value::from(object)
    };
    let jobs: Vec<_> = shown.jobs().map(job).collect();
    let body = json!({ "settings": settings, "jobs": jobs, "series": shown.series() });
    with_head("config", session, ExitCode::Success, &Value::Null, body)
}

fn json_value(shape: Shape, values: &[String]) -> Value {
    match (shape, values) {
        (Shape::List, values) => values.into(),
        (_, []) => Value::Null,
        (Shape::Flag, [value, ..]) => (value == "true").into(),
        (Shape::Count, [value, ..]) => value.parse::<u8>().unwrap_or_default().into(),
        (_, [value, ..]) => value.clone().into(),
    }
}

fn json_origin(origin: &Origin) -> Map<String, Value> {
    let (word, file, line) = match origin {
        Origin::Flag => ("flag", None, None),
        Origin::Environment => ("environment", None, None),
        Origin::EnvFile => ("env_file", None, None),
        Origin::ConfigFile { path, line } => ("config_file", Some(&**path), Some(*line)),
        Origin::Default => ("default", None, None),
    };
    let mut object = Map::new();
    object.insert("origin".into(), word.into());
    if let (Some(file), Some(line)) = (file, line) {
        object.insert("file".into(), file.into());
        object.insert("line".into(), line.into());
    }
    object
}
