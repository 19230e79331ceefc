//! The report: one page that loads nothing, tells the fleet, and can be read by everybody.

use crate::support::{Hub, Lab};

/// Elements that have no end of their own.
const VOID: [&str; 6] = ["meta", "br", "rect", "!doctype", "link", "img"];

/// The elements of a page in their order, each with its attributes; fails where one is not ended or ends another one.
#[track_caller]
fn elements(html: &str) -> Vec<(String, String)> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some((_, behind)) = rest.split_once('<') {
        let (tag, behind) = behind.split_once('>').unwrap_or_else(|| panic!("a tag is not closed: {behind}"));
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop().as_deref(),
                Some(name),
                "{tag} ends another element, before: {}",
                &rest[..rest.len().min(99)]
            );
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let name = name.trim_end_matches('/').to_lowercase();
        found.push((name.clone(), attributes.to_owned()));
        if name == "style" {
            rest = rest.split_once("</style>").unwrap().1;
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new(), "elements are not ended");
    found
}

#[test]
fn a_page_tells_the_fleet_and_loads_nothing() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &format!("{}\n[ssh]\nconnect-timeout = \"2s\"\n", hub.committed("hub.toml")));
    // Nothing is known yet, and that is told.
    hub.run(&["report"]).exits(0).prints("Nothing is known yet.");
    hub.run(&["quick-deploy", "p620", "p510"]).exits(1);
    hub.set_host("p620", r#"motd = "edited";"#);
    hub.run(&["status", "p620"]).exits(0);
    let page = hub.root().with_file_name("report.html");
    hub.run(&["report", "--out", page.to_str().unwrap()]).exits(0).says("report.html");
    let html = std::fs::read_to_string(&page).unwrap();
    for text in ["p620", "razer", "✓ deployed", "✗ unreachable", "! behind", "active hosts", "quick-deploy", "tester@"]
    {
        assert!(html.contains(text), "no `{text}` in {html}");
    }
    // Nothing is fetched, run or linked, and a browser is told to refuse it.
    for word in [
        "http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<img", "onclick",
        "onload",
    ] {
        assert!(!html.contains(word), "`{word}` in {html}");
    }
    assert!(html.contains("default-src 'none'"));

    let all = elements(&html);
    let of = |name: &str| {
        all.iter().filter(|(found, _)| found == name).map(|(_, attributes)| attributes).collect::<Vec<_>>()
    };
    let count = |name: &str| of(name).len();
    assert!(all.iter().any(|(name, attributes)| name == "html" && attributes == "lang=\"en\""));
    assert_eq!((count("h1"), count("main"), count("title") > 0), (1, 1, true));
    assert!(of("meta").iter().any(|attributes| attributes.contains("width=device-width")), "no phone's width");
    assert!(count("table") >= 3 && count("table") == count("caption"));
    assert!(of("th").iter().all(|attributes| attributes.contains("scope=")));
    // On a phone, each field says what it is.
    assert!(count("td") > 0 && of("td").iter().all(|attributes| attributes.contains("data-label=\"")));
    assert!(count("svg") >= 3 && of("svg").iter().all(|a| a.contains("role=\"img\"") && a.contains("aria-label=\"")));
    assert!(count("meter") >= 1 && of("meter").iter().all(|attributes| attributes.contains("aria-label=\"")));
    // Where colours tell hosts' ends apart, words say which is which.
    assert!(html.contains("aria-label=\"Legend\"") && html.contains("<li class=\"fail\">failed</li>"), "{html}");
    // What is drawn without an axis is said in words.
    assert!(html.contains("oldest first; the longest took ") && html.contains(" of them"), "{html}");

    // What is not of this time is left out.
    let old = hub.run(&["report", "--since", "now"]).exits(0).stdout;
    assert!(!old.contains("quick-deploy") && old.contains("! behind"), "{old}");
}
