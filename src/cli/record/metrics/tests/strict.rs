//! A reader of the text format of Prometheus that refuses whatever the format does not allow. For
//! tests; it shares nothing with the writer.

use std::collections::{BTreeMap, BTreeSet};

/// The values of a metric by labels.
#[derive(Debug, Default)]
pub(crate) struct Metric {
    pub(crate) values: BTreeMap<BTreeMap<String, String>, f64>,
}

/// The metrics of a file by name; panics at the first thing that is not allowed.
#[track_caller]
pub(crate) fn parse(text: &str) -> BTreeMap<String, Metric> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(helped.insert(name.to_owned()) && !help.is_empty(), "{line}");
            unescaped(help, false, line);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(helped.contains(name) && is_name(name, true), "{line}");
            assert!(metrics.insert(name.to_owned(), Metric::default()).is_none(), "twice: {line}");
            current = Some(name.to_owned());
        } else {
            let end = line.find(['{', ' ']).expect(line);
            let (name, rest) = line.split_at(end);
            assert_eq!(current.as_deref(), Some(name), "not below its type: {line}");
            let (labels, value) = match rest.strip_prefix('{') {
                Some(inside) => labels(inside, line),
                None => (BTreeMap::new(), rest),
            };
            let value: f64 = value.strip_prefix(' ').expect(line).parse().expect(line);
            let known = metrics.get_mut(name).unwrap().values.insert(labels, value);
            assert!(known.is_none(), "twice: {line}");
            assert!(!name.ends_with("_total") || value >= 0.0, "{line}");
        }
    }
    metrics
}

fn is_name(name: &str, may_have_colons: bool) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && may_have_colons);
    name.starts_with(|c: char| legal(c) && !c.is_ascii_digit()) && name.chars().all(legal)
}

fn labels<'a>(mut text: &'a str, line: &str) -> (BTreeMap<String, String>, &'a str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, rest) = text.split_once('=').expect(line);
        assert!(is_name(name, false), "{line}");
        let rest = rest.strip_prefix('"').expect(line);
        let mut is_escaped = false;
        let is_end = |c: char| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        };
        let end = rest.find(is_end).expect(line);
        let value = unescaped(&rest[..end], true, line);
        assert!(labels.insert(name.to_owned(), value).is_none(), "{line}");
        let rest = &rest[end + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        text = rest.strip_prefix(',').expect(line);
    }
}

fn unescaped(text: &str, is_label: bool, line: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if is_label => '"',
                _ => panic!("a bad escape: {line}"),
            },
            other => other,
        });
    }
    plain
}

impl Metric {
    /// The one value whose labels hold all of these.
    #[track_caller]
    pub(crate) fn value(&self, labels: &[(&str, &str)]) -> f64 {
        let fits = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(name, value)| found.get(*name).is_some_and(|v| v == value))
        };
        let found: Vec<_> = self.values.iter().filter(|(found, _)| fits(found)).collect();
        assert_eq!(found.len(), 1, "{labels:?} in {self:?}");
        *found[0].1
    }
}
