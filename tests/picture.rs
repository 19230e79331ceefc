//! The script that draws a terminal's screen: text, colours and widths of what it was given, whatever is in it.
#![expect(clippy::disallowed_methods, reason = "the test runs awk as dev/picture does")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

fn drawn(screen: &str) -> String {
    let script = Path::new(REPOSITORY).join("dev/lib/ansi-to-svg.awk");
    // A script that does not end would otherwise hang the tests.
    let mut awk = Command::new("timeout")
        .args(["20", "awk", "-v", "columns=20", "-v", "title=A <title>", "-f"])
        .arg(script)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    awk.stdin.take().unwrap().write_all(screen.as_bytes()).unwrap();
    let output = awk.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn text_keeps_its_place_its_colour_and_its_weight() {
    let svg = drawn("\u{1b}[32m✓\u{1b}[39m \u{1b}[1mp620\u{1b}[0m  done\n\n\u{1b}[1;31ma<b & c\u{1b}[0m\n");
    let texts: Vec<&str> = svg.lines().map(str::trim).filter(|line| line.starts_with("<text")).collect();
    assert_eq!(
        texts,
        [
            r##"<text x="18.0" y="32" textLength="8.4" fill="#98c379">✓</text>"##,
            r##"<text x="34.8" y="32" textLength="33.6" fill="#d7dae0" font-weight="bold">p620</text>"##,
            r##"<text x="85.2" y="32" textLength="33.6" fill="#d7dae0">done</text>"##,
            r##"<text x="18.0" y="70" textLength="58.8" fill="#f07178" font-weight="bold">a&lt;b &amp; c</text>"##,
        ]
    );
    assert!(svg.contains("<title>A &lt;title&gt;</title>"));
    assert!(svg.contains(r#"viewBox="0 0 204 93""#), "{svg}");
}

#[test]
fn the_picture_of_the_readme_is_one_of_these() {
    let picture = std::fs::read_to_string(Path::new(REPOSITORY).join("docs/img/quick-deploy.svg")).unwrap();
    for text in ["unchanged", "deployed", "degraded", "unreachable", "p510", "p620", "razer", "samsung"] {
        assert!(picture.contains(&format!(">{text}</text>")), "{text}");
    }
}
