//! The text format of Prometheus, version 0.0.4: written, and read back as far as values of the
//! last run are carried on. Pure.

use std::collections::BTreeSet;

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// It only grows, and begins anew at zero.
    Counter,
    /// It is what it is now.
    Gauge,
}

/// Names and values, in their order.
pub(super) type Labels = Vec<(String, String)>;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: f64,
}

/// Labels from plain text.
pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A file in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Adds a metric and all its values; one without values is left out.
    pub(super) fn add(
        &mut self,
        sort: Sort,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) {
        let mut samples: Vec<_> = samples.into_iter().collect();
        // A reader refuses a file in which one value comes twice.
        let mut known = BTreeSet::new();
        samples.retain(|sample| known.insert(sample.labels.clone()));
        if samples.is_empty() {
            return;
        }
        let kind = match sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for sample in samples {
            self.0.push_str(&format!("{name}{} {}\n", braced(&sample.labels), sample.value));
        }
    }

    /// Adds a metric with one value and no labels.
    pub(super) fn add_one(&mut self, sort: Sort, name: &str, help: &str, value: f64) {
        self.add(sort, name, help, [Sample { labels: Vec::new(), value }]);
    }

    /// The file.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

fn braced(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pair = |(name, value): &(String, String)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    format!("{{{}}}", labels.iter().map(pair).collect::<Vec<_>>().join(","))
}

/// The values of one metric in a file of ours; lines in bad form are left out.
pub(super) fn samples(file: &str, name: &str) -> Vec<Sample> {
    file.lines().filter_map(|line| sample(line.strip_prefix(name)?)).collect()
}

fn sample(rest: &str) -> Option<Sample> {
    let (labels, value) = match rest.strip_prefix('{') {
        Some(inside) => read_labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value: f64 = value.strip_prefix(' ')?.parse().ok()?;
    value.is_finite().then_some(Sample { labels, value })
}

fn read_labels(mut text: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        let (name, rest) = text.split_once("=\"")?;
        let is_legal = |c: char| c.is_ascii_lowercase() || c == '_';
        if name.is_empty() || !name.chars().all(is_legal) {
            return None;
        }
        let (value, rest) = read_value(rest)?;
        if labels.iter().any(|(known, _)| known == name) {
            return None;
        }
        labels.push((name.to_owned(), value));
        match rest.strip_prefix(',') {
            Some(more) => text = more,
            None => return Some((labels, rest.strip_prefix('}')?)),
        }
    }
}

/// A label value up to its closing quotation mark, and what comes after that.
fn read_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other @ ('\\' | '"') => other,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_documented_and_read_back() {
        let mut file = Exposition::default();
        let hostile = "a\"b\\c\nd} 1 {e=\"";
        let one = Sample { labels: labels(&[("symbol", hostile), ("kind", "x")]), value: 2.5 };
        file.add(Sort::Gauge, "a_b", "two\nlines \\", [one.clone(), one.clone()]);
        file.add(Sort::Counter, "empty_total", "nothing", []);
        file.add_one(Sort::Counter, "a_b_total", "more", 7.0);
        let text = file.into_text();
        assert_eq!(
            text,
            "# HELP a_b two\\nlines \\\\\n# TYPE a_b gauge\n\
             a_b{symbol=\"a\\\"b\\\\c\\nd} 1 {e=\\\"\",kind=\"x\"} 2.5\n\
             # HELP a_b_total more\n# TYPE a_b_total counter\na_b_total 7\n"
        );
        assert_eq!(samples(&text, "a_b"), [one]);
        assert_eq!(samples(&text, "a_b_total"), [Sample { labels: Vec::new(), value: 7.0 }]);
    }

    #[test]
    fn lines_in_bad_form_are_left_out() {
        for line in [
            "a",
            "a ",
            "a x",
            "a{b=\"\",b=\"\"} 1",
            "a NaN",
            "a{} 1",
            "a{b} 1",
            "a{b=\"c} 1",
            "a{b=\"\\x\"} 1",
            "a{B=\"\"} 1",
        ] {
            assert_eq!(samples(line, "a"), [], "{line}");
        }
    }
}
