//! What was found, as a report of tests: in the form that most CIs know.

use quick_junit::{NonSuccessKind, Report as Document, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::draw::draw;
use super::finding::Severity;
use super::run::Report;

/// Checks of one kind.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// What is checked.
    pub name: String,
    /// Each thing that was checked, with all that is wrong with it; nothing where it is well.
    pub cases: Vec<(String, Vec<String>)>,
}

impl Suite {
    /// The files of a report: each one with an error or a warning, and all others as one.
    pub fn of_files(report: &Report) -> Self {
        let failed = report.found.iter().filter_map(|checked| {
            let failing = checked.findings.iter().filter(|finding| finding.severity > Severity::Note);
            let drawn: Vec<_> = failing.map(|finding| draw(&checked.source, finding, false)).collect();
            (!drawn.is_empty()).then(|| (checked.source.path().to_owned(), drawn))
        });
        let mut cases: Vec<_> = failed.collect();
        let others = report.files.saturating_sub(cases.len());
        cases.push((format!("{others} files"), Vec::new()));
        Self { name: "files".to_owned(), cases }
    }
}

/// A document with one suite for each of `suites`.
pub fn junit(suites: &[Suite]) -> Result<String, SerializeError> {
    let mut document = Document::new("hubctl");
    for suite in suites {
        let mut told = TestSuite::new(suite.name.as_str());
        told.add_test_cases(suite.cases.iter().map(|(name, wrong)| case(&suite.name, name, wrong)));
        document.add_test_suite(told);
    }
    document.to_string()
}

fn case(suite: &str, name: &str, wrong: &[String]) -> TestCase {
    let status = match wrong.first() {
        None => TestCaseStatus::success(),
        Some(first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(first.lines().next().unwrap_or_default()).set_description(wrong.join("\n\n"));
            status
        }
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(suite);
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::{Checked, Finding, Source};

    #[test]
    fn each_file_with_something_wrong_is_a_test_that_failed() {
        let source = Source::new("a<b>.nix", "let\n  x = 1;\nin\n2\n");
        let finding = Finding::error("unused-binding", 6..7, "`x` & more");
        let report = Report { files: 3, found: vec![Checked { source, findings: vec![finding] }] };
        let text = junit(&[Suite::of_files(&report)]).unwrap();
        assert!(text.contains(r#"<testsuite name="files" tests="2" skipped="0" errors="0" failures="1""#), "{text}");
        assert!(text.contains(r#"<testcase name="a&lt;b&gt;.nix" classname="files">"#), "{text}");
        assert!(text.contains(r#"<failure message="error[unused-binding]: `x` &amp; more">"#), "{text}");
        assert!(text.contains(r#"<testcase name="2 files" classname="files"/>"#), "{text}");
    }
}
