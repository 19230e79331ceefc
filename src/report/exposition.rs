//! Numbers in the text format of Prometheus, which monitoring systems collect. Source: "Exposition formats" of its documentation.

use std::fmt::Write as _;

use serde::Serialize;

/// What a family of numbers is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FamilyKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A sum of observations and their number, as samples with `_sum` and `_count` behind the family's name.
    Summary,
}

/// Numbers of one name and meaning.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Family {
    name: &'static str,
    kind: FamilyKind,
    help: &'static str,
    samples: Vec<Sample>,
}

/// One number, told from others of its family by its labels.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sample {
    #[serde(skip_serializing_if = "str::is_empty")]
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Sample {
    /// A number with its labels, each of another name.
    pub fn new(labels: Vec<(&'static str, String)>, value: f64) -> Self {
        Self { suffix: "", labels, value }
    }

    /// As [`Self::new`], for a part of a summary.
    pub fn part(suffix: &'static str, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        Self { suffix, labels, value }
    }
}

impl Family {
    /// The numbers called `name`, which is of letters, digits and `_`.
    pub fn new(name: &'static str, kind: FamilyKind, help: &'static str, samples: Vec<Sample>) -> Self {
        Self { name, kind, help, samples }
    }
}

/// Families as text. One without a number is left out.
pub fn exposition(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let Family { name, help, .. } = family;
        let kind = match family.kind {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
            FamilyKind::Summary => "summary",
        };
        // Writing to a text does not fail.
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n", escaped(help, false));
        for sample in &family.samples {
            let labels: Vec<_> =
                sample.labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value, true))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{name}{}{labels} {}", sample.suffix, sample.value);
        }
    }
    text
}

/// A text with what would end it escaped.
fn escaped(text: &str, quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quoted { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_under_their_heads() {
        let sample =
            |host: &str, value| Sample::new(vec![("host", host.to_owned()), ("flake", "a\\b\n\"".to_owned())], value);
        let families = [
            Family::new("empty", FamilyKind::Gauge, "Nothing.", Vec::new()),
            Family::new("up", FamilyKind::Gauge, "Whether\nit is.", vec![sample("p620", 1.0), sample("p510", 0.5)]),
            Family::new("took", FamilyKind::Summary, "Time.", vec![Sample::part("_sum", Vec::new(), 1_234_567.0)]),
        ];
        assert_eq!(
            exposition(&families),
            "# HELP up Whether\\nit is.\n# TYPE up gauge\n\
             up{host=\"p620\",flake=\"a\\\\b\\n\\\"\"} 1\nup{host=\"p510\",flake=\"a\\\\b\\n\\\"\"} 0.5\n\
             # HELP took Time.\n# TYPE took summary\ntook_sum 1234567\n"
        );
    }
}
