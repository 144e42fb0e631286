//! From the text of a configuration file to its keys. Pure. Every error names file, line and
//! column, the key, and what to do; none shows a value, because a value may be a secret by mistake.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::args::{Given, JOB_KEYS, JobArgs, Keys, Shape};
use super::super::error::Failure;
use super::super::terminal::escaped;
use super::ConfigFile;

/// The key of the jobs.
const JOBS: &str = "series";

/// Names that people give to the one thing that must not be in the file.
const SECRETS: [&str; 4] = ["token", "api-token", "password", "secret"];

/// Longest piece of a key that is shown.
const SHOWN_CHARS: usize = 60;

/// A name this much unlike is another name.
const MOST_TYPOS: usize = 3;

/// Reads the text of a file that is called `path`.
///
/// # Errors
///
/// The first thing in it that is no setting.
pub fn parse(path: &str, text: &str, keys: &Keys) -> Result<ConfigFile, Failure> {
    // An editor of another system may have left a mark there; columns are counted without it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at);
    let reader = Reader { path, text, keys, line_ends: line_ends.collect() };
    let table = DeTable::parse(text).map_err(|error| {
        let problem = format!("no TOML: {}", escaped(error.message()));
        let hint = "write one `key = value` on each line, texts in quotes, like `kind = \"ticks\"`";
        reader.refuse(error.span().unwrap_or(0..0), &problem, hint)
    })?;
    let mut file = ConfigFile { path: Arc::from(path), values: BTreeMap::new(), jobs: Vec::new() };
    for (key, value) in in_order(table.get_ref()) {
        if key.get_ref() == JOBS {
            for job in reader.jobs(key.span(), value.get_ref())? {
                let line = reader.line(job.span());
                let values = reader.job(&job)?;
                file.jobs.push(JobArgs { origin: file.origin(line), values });
            }
        } else {
            let shape = reader.shape(key)?;
            file.values.insert(key.get_ref().to_string(), reader.given(key, value, shape)?);
        }
    }
    Ok(file)
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// The entries of a table as they stand in the file, so that the first error is the first one.
fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t Key<'a>, &'t Value<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    keys: &'a Keys,
    /// Where the lines end, ascending.
    line_ends: Vec<usize>,
}

/// A job, still as a table.
struct Job<'t, 'a> {
    table: &'t DeTable<'a>,
    span: Range<usize>,
}

impl Job<'_, '_> {
    fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl Reader<'_> {
    fn line(&self, span: Range<usize>) -> usize {
        self.line_ends.partition_point(|end| *end < span.start) + 1
    }

    fn before(&self, span: Range<usize>) -> &str {
        self.text.get(..span.start).unwrap_or(self.text)
    }

    /// An error at a place of the file.
    fn refuse(&self, span: Range<usize>, problem: &str, hint: &str) -> Failure {
        let line_start = self.before(span.clone()).rfind('\n').map_or(0, |newline| newline + 1);
        let column = self.before(span.clone())[line_start..].chars().count() + 1;
        let place = format!("`{}` line {} column {column}", self.path, self.line(span));
        Failure::cannot_start(format!("{place}: {problem}")).with_hint(hint)
    }

    /// What the option of a key takes.
    fn shape(&self, key: &Key<'_>) -> Result<Shape, Failure> {
        self.keys.shape(key.get_ref()).ok_or_else(|| self.unknown(key, None))
    }

    /// The error of a key that is none; `in_job` is what a job may have.
    fn unknown(&self, key: &Key<'_>, in_job: Option<&[&str]>) -> Failure {
        let name = key.get_ref().as_ref();
        let dashed = name.to_lowercase().replace('_', "-");
        let refuse = |problem: &str, hint: &str| self.refuse(key.span(), problem, hint);
        let shown = shown(name);
        if SECRETS.contains(&dashed.as_str())
            || SECRETS.iter().any(|s| dashed == format!("titan-{s}"))
        {
            let hint = "set `TITAN_TOKEN` in the environment or in `.env`, or name a file of its \
                        own with `token-file`; files of settings are copied and shown around";
            return refuse(&format!("{shown} is not kept in this file"), hint);
        }
        if in_job.is_some() && self.keys.shape(&dashed).is_some() {
            let hint = format!("write it above the first `[[{JOBS}]]`");
            return refuse(&format!("{shown} is not a key of a job but of the whole file"), &hint);
        }
        if dashed == "config" || dashed == "print-config" {
            let hint = format!("leave it out, and give `--{dashed}` on the command line");
            return refuse(&format!("{shown} is no key of the file"), &hint);
        }
        let all: Vec<&str> = match in_job {
            Some(keys) => keys.to_vec(),
            None => self.keys.names().chain([JOBS]).collect(),
        };
        let distance = |one: &&str| strsim::damerau_levenshtein(one, &dashed);
        let nearest = all
            .iter()
            .copied()
            .min_by_key(distance)
            .filter(|one| distance(one) <= MOST_TYPOS.min(one.len() / 2));
        let hint = match (nearest, in_job) {
            (Some(nearest), _) => format!("did you mean `{nearest}`?"),
            (None, Some(keys)) => format!("a job takes {}", list(keys)),
            (None, None) => {
                "the keys are the long names of the options, as `--help` lists them".into()
            }
        };
        refuse(&format!("unknown key {shown}"), &hint)
    }

    fn jobs<'t, 'a>(
        &self,
        span: Range<usize>,
        value: &'t DeValue<'a>,
    ) -> Result<Vec<Job<'t, 'a>>, Failure> {
        let hint = "begin each job with a line `[[series]]`";
        let no_jobs = |span| self.refuse(span, &format!("`{JOBS}` is no list of jobs"), hint);
        let DeValue::Array(entries) = value else { return Err(no_jobs(span)) };
        let job = |entry: &'t Value<'a>| match entry.get_ref() {
            DeValue::Table(table) => Ok(Job { table, span: entry.span() }),
            _ => Err(no_jobs(entry.span())),
        };
        entries.iter().map(job).collect()
    }

    fn job(&self, job: &Job<'_, '_>) -> Result<BTreeMap<String, Given>, Failure> {
        let mut values = BTreeMap::new();
        for (key, value) in in_order(job.table) {
            let name = key.get_ref().as_ref();
            let shape = self.keys.shape(name).filter(|_| JOB_KEYS.contains(&name));
            let shape = shape.ok_or_else(|| self.unknown(key, Some(&JOB_KEYS)))?;
            values.insert(name.to_owned(), self.given(key, value, shape)?);
        }
        Ok(values)
    }

    /// The texts of a value; empty ones count as not given, as everywhere.
    fn given(&self, key: &Key<'_>, value: &Value<'_>, shape: Shape) -> Result<Given, Failure> {
        let mut texts = match (value.get_ref(), shape) {
            (DeValue::Array(entries), Shape::List) => {
                let one = |entry: &Value<'_>| self.text(key, entry, Shape::Text, true);
                entries.iter().map(one).collect::<Result<Vec<_>, _>>()?
            }
            _ => vec![self.text(key, value, shape, false)?],
        };
        texts.retain(|text| !text.trim().is_empty());
        Ok(Given { texts, line: self.line(key.span()) })
    }

    /// One value as the text that would be typed.
    fn text(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
        shape: Shape,
        is_in_list: bool,
    ) -> Result<String, Failure> {
        match (value.get_ref(), shape) {
            (DeValue::Boolean(answer), Shape::Flag | Shape::Text) if !is_in_list => {
                Ok(answer.to_string())
            }
            (DeValue::Integer(number), Shape::Count | Shape::Text | Shape::List) => {
                let digits = number.as_str();
                let parsed = i64::from_str_radix(digits, number.radix());
                Ok(parsed.map_or_else(|_| digits.to_owned(), |number| number.to_string()))
            }
            (DeValue::Float(number), Shape::Text) => Ok(number.as_str().to_owned()),
            (DeValue::Datetime(time), Shape::Text) => Ok(time.to_string()),
            (DeValue::String(text), Shape::Text | Shape::Path | Shape::List) => {
                if text.contains('\0') {
                    return Err(self.wrong(
                        key,
                        value,
                        "a text without a NUL in it",
                        "leave it out",
                    ));
                }
                Ok(text.to_string())
            }
            _ => {
                let (what, hint) = expectation(shape);
                Err(self.wrong(key, value, what, hint))
            }
        }
    }

    fn wrong(&self, key: &Key<'_>, value: &Value<'_>, expected: &str, hint: &str) -> Failure {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let problem = format!("{} takes {expected}, not {found}", shown(key.get_ref()));
        self.refuse(value.span(), &problem, hint)
    }
}

/// What is expected, and how to write it.
fn expectation(shape: Shape) -> (&'static str, &'static str) {
    match shape {
        Shape::Flag => ("`true` or `false`", "write `true` or `false`, without quotes"),
        Shape::Count => ("a whole number", "write a number from 0 to 3"),
        Shape::Text => ("one value", "write a number, or a text in quotes"),
        Shape::Path => ("a name in quotes", "write the name of the file or folder in quotes"),
        Shape::List => (
            "one value or a list",
            "write a text in quotes, or a list like `[\"R_100\", \"R_50\"]`",
        ),
    }
}

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn shown(key: &str) -> String {
    let mut shown: String = key.chars().take(SHOWN_CHARS).collect();
    if shown.len() < key.len() {
        shown.push('…');
    }
    format!("`{}`", escaped(&shown))
}
