//! What was found, in the forms of other programs.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::rules::RULES;
use super::run::Report;
use super::source::Source;

/// The commands by which a step of GitHub's actions marks lines of a change, one a line.
///
/// Source: GitHub's documentation, "Workflow commands".
pub fn github(report: &Report) -> String {
    let mut lines = String::new();
    for (source, finding) in each(report) {
        let (start, end) = (source.position(finding.span.start), source.position(finding.span.end));
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let text = [Some(finding.message.as_str()), finding.hint.as_deref()];
        let text: Vec<_> = text.into_iter().flatten().collect();
        // Columns are allowed within one line only.
        let columns = if start.line == end.line {
            format!(",col={},endColumn={}", start.column, end.column)
        } else {
            String::new()
        };
        // Writing to a text never fails.
        let _ = writeln!(
            lines,
            "::{command} file={},line={},endLine={}{columns},title={}::{}",
            property(source.path()),
            start.line,
            end.line,
            property(finding.rule),
            escaped(&text.join("\n"))
        );
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

/// A log in the Static Analysis Results Interchange Format, version 2.1.0.
pub fn sarif(report: &Report) -> Value {
    let rules: Vec<_> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.name,
                "shortDescription": { "text": rule.summary() },
                "help": { "text": rule.page, "markdown": rule.page },
                "defaultConfiguration": { "level": rule.severity.as_str() },
            })
        })
        .collect();
    let results: Vec<_> = each(report).map(|(source, finding)| result(source, finding)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "hubctl", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(source: &Source, finding: &Finding) -> Value {
    let place = |span: &Range<usize>| {
        let (start, end) = (source.position(span.start), source.position(span.end));
        json!({
            "artifactLocation": { "uri": uri(source.path()) },
            "region": {
                "startLine": start.line,
                "startColumn": start.column,
                "endLine": end.line,
                "endColumn": end.column,
            },
        })
    };
    let related = finding
        .related
        .iter()
        .map(|related| json!({ "physicalLocation": place(&related.span), "message": { "text": related.text } }));
    let text = [Some(finding.message.as_str()), finding.hint.as_deref()];
    let text: Vec<_> = text.into_iter().flatten().collect();
    json!({
        "ruleId": finding.rule,
        "level": finding.severity.as_str(),
        "message": { "text": text.join("\n") },
        "locations": [{ "physicalLocation": place(&finding.span) }],
        "relatedLocations": related.collect::<Vec<_>>(),
    })
}

/// A relative path as a reference of RFC 3986.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~+@".contains(&byte);
    let mut uri = String::new();
    for byte in path.bytes() {
        if plain(byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a text never fails.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn each(report: &Report) -> impl Iterator<Item = (&Source, &Finding)> {
    report.found.iter().flat_map(|checked| checked.findings.iter().map(|finding| (&checked.source, finding)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::run::Checked;

    fn report() -> Report {
        let source = Source::new("a b/c,d.nix", "let\n  x = 1;\nin\n2\n");
        let finding =
            Finding::error("unused-binding", 6..7, "`x` is 100%\nunused").hint("delete it").related(0..3, "here");
        Report { files: 1, found: vec![Checked { source, findings: vec![finding] }] }
    }

    #[test]
    fn a_line_is_marked_on_github_whatever_the_texts_are() {
        assert_eq!(
            github(&report()),
            "::error file=a b/c%2Cd.nix,line=2,endLine=2,col=3,endColumn=4,title=unused-binding::\
             `x` is 100%25%0Aunused%0Adelete it\n"
        );
    }

    #[test]
    fn a_log_names_the_rule_and_the_place() {
        let log = sarif(&report());
        assert_eq!(log["version"], "2.1.0");
        let result = &log["runs"][0]["results"][0];
        assert_eq!((&result["ruleId"], &result["level"]), (&"unused-binding".into(), &"error".into()));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b/c%2Cd.nix");
        let region = json!({ "startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 4 });
        assert_eq!(place["region"], region);
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len(), RULES.len());
    }
}
