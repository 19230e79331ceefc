//! What the view looks like and how it behaves, without a terminal.

use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw::draw;
use super::model::{Model, Prompt};
use super::page::{Content, Means, Row, Rows, Tab};
use super::samples::{NOW, hosts, keys, model, seen, tell, unreachable};
use super::theme::Theme;
use super::update::{Effect, FlakeNow, Msg, update};
use crate::plan::Drift;
use crate::report::{Cell, Palette, Style};

/// The view as its characters, in a terminal of the size that it believes it has.
fn picture(model: &Model) -> String {
    let backend = TestBackend::new(model.size.columns, model.size.rows);
    let mut terminal = Terminal::new(backend).unwrap();
    terminal.draw(|frame| draw(model, Theme(Palette::Colour), frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let width = usize::from(model.size.columns);
    let symbols: Vec<_> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    symbols.chunks(width.max(1)).map(|row| row.concat().trim_end().to_owned() + "\n").collect()
}

fn units() -> Rows {
    let row = |name: &str, active: &str, style| Row {
        cells: vec![name.into(), Cell::styled(style, active), "x".into(), "What it is".into()],
        means: Some(Means::Unit(name.to_owned())),
    };
    let rows = vec![row("shop.service", "failed", Style::Fail), row("sshd.service", "active", Style::Ok)];
    Rows { header: vec!["UNIT", "ACTIVE", "STATE", "DESCRIPTION"], rows }
}

fn on_page(columns: u16, rows: u16, tab: &str) -> Model {
    let mut model = model(columns, rows);
    let _ = keys(&mut model, &format!("j\n{tab}"));
    model
}

#[test]
fn the_table_has_what_there_is_room_for() {
    insta::assert_snapshot!("table-80x24", picture(&model(80, 24)));
    insta::assert_snapshot!("table-120x40", picture(&model(120, 40)));
    insta::assert_snapshot!("table-180x20", picture(&model(180, 20)));
    insta::assert_snapshot!("table-40x10", picture(&model(40, 10)));
}

#[test]
fn a_host_has_a_page() {
    insta::assert_snapshot!("overview-80x24", picture(&on_page(80, 24, "")));
    let mut page = on_page(80, 24, "2");
    insta::assert_snapshot!("units-asked-80x24", picture(&page));
    tell(&mut page, Msg::Content("p620".parse().unwrap(), Tab::Units, Ok(units())));
    insta::assert_snapshot!("units-120x40", picture(&Model { size: model(120, 40).size, ..page }));
    let mut page = on_page(60, 12, "3");
    for number in 0..30 {
        tell(&mut page, Msg::Line(format!("Nov 21 12:00:{number:02} sshd[7]: line {number} of the log")));
    }
    insta::assert_snapshot!("log-60x12", picture(&page));
}

#[test]
fn keys_are_listed_and_asked_about() {
    let mut model = model(80, 24);
    let _ = keys(&mut model, "?");
    insta::assert_snapshot!("help-80x24", picture(&model));
    let _ = keys(&mut model, "jjjG");
    assert!(picture(&model).contains("back to the table"), "{}", picture(&model));
    assert_eq!(keys(&mut model, " "), []);
    assert!(model.help.is_none() && model.marked.is_empty(), "a key that closes the list does nothing else");
    let _ = keys(&mut model, "/p6");
    insta::assert_snapshot!("filter-80x24", picture(&model));
}

#[test]
fn no_terminal_is_too_small() {
    for (columns, rows) in [(1, 1), (2, 2), (5, 3), (20, 5), (39, 7), (300, 4), (4, 100)] {
        for typed in ["", "?", "/p", "R", "j\n", "j\n2", "j\n3", "j\n4/x"] {
            let mut model = model(columns, rows);
            let _ = keys(&mut model, typed);
            tell(&mut model, Msg::Flake(Err("it does not evaluate".to_owned())));
            let _ = picture(&model);
        }
    }
}

#[test]
fn hosts_are_filtered_sorted_and_marked() {
    let names = |model: &Model| model.shown().iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>();
    let mut model = model(80, 24);
    let _ = keys(&mut model, "/p6\n");
    assert_eq!(names(&model), ["p620"]);
    let _ = keys(&mut model, "\x1b/@ed\n");
    assert_eq!(names(&model), ["p620"]);
    let _ = keys(&mut model, "\x1b/unreach\n");
    assert_eq!(names(&model), ["razer"]);
    let _ = keys(&mut model, "\x1b/reboot p\n");
    assert_eq!(names(&model), ["p620"]);
    let _ = keys(&mut model, "\x1bs");
    assert_eq!(names(&model), ["razer", "p620", "p510", "samsung"], "by state");
    let _ = keys(&mut model, "ssS");
    assert_eq!(names(&model)[..2], ["p510", "p620"], "by failed units, the other way round");
    let _ = keys(&mut model, "Ssss");
    assert_eq!(names(&model), ["p510", "p620", "razer", "samsung"]);

    let _ = keys(&mut model, "g ↓ ");
    assert_eq!(model.chosen().iter().map(ToString::to_string).collect::<Vec<_>>(), ["p510", "razer"]);
    assert_eq!(
        keys(&mut model, "d"),
        [Effect::Run(["quick-deploy", "p510", "razer", "--ask"].map(str::to_owned).into())]
    );
    let _ = keys(&mut model, "a");
    assert_eq!(model.marked.len(), 4);
    let _ = keys(&mut model, "a");
    assert!(model.marked.is_empty());
}

#[test]
fn what_changes_hosts_is_asked_about() {
    let mut model = model(80, 24);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(keys(&mut model, "R"), []);
    assert!(matches!(&model.prompt, Some(Prompt::Confirm { question, .. }) if question.contains("Roll p510 back")));
    assert_eq!(keys(&mut model, "\n"), [], "Enter is no");
    assert_eq!(keys(&mut model, "Rn"), []);
    assert_eq!(keys(&mut model, "Ry"), [Effect::Run(words(&["rollback", "p510"]))]);
    assert_eq!(keys(&mut model, "d"), [Effect::Run(words(&["quick-deploy", "p510", "--ask"]))]);
    assert_eq!(keys(&mut model, "!"), [Effect::Shell("p510".parse().unwrap())]);

    let _ = keys(&mut model, "\n6");
    let generation = Row { cells: vec!["7".into(), "x".into()], means: Some(Means::Generation(7)) };
    let rows = Rows { header: vec!["GENERATION", "X"], rows: vec![generation] };
    tell(&mut model, Msg::Content("p510".parse().unwrap(), Tab::Generations, Ok(rows)));
    assert_eq!(keys(&mut model, "\ny"), [Effect::Run(words(&["rollback", "p510", "--to", "7"]))]);
}

#[test]
fn tabs_are_filled_when_they_are_opened_and_once() {
    let mut model = model(80, 24);
    let host = || "p510".parse().unwrap();
    assert_eq!(keys(&mut model, "\n"), []);
    assert_eq!(keys(&mut model, "2"), [Effect::Fetch(host(), Tab::Units)]);
    assert_eq!(keys(&mut model, "3"), [Effect::Follow(host(), None)]);
    assert_eq!(keys(&mut model, "232"), []);
    tell(&mut model, Msg::Content(host(), Tab::Units, Ok(units())));
    assert_eq!(model.page.as_ref().unwrap().cursor, 0);
    // What was asked about another host comes too late.
    tell(&mut model, Msg::Content("razer".parse().unwrap(), Tab::Diff, Ok(units())));
    assert_eq!(keys(&mut model, "4"), [Effect::Fetch(host(), Tab::Diff)]);
    assert_eq!(keys(&mut model, "2↓\n"), [Effect::Follow(host(), Some("sshd.service".to_owned()))]);
    assert_eq!(model.page.as_ref().unwrap().tab, Tab::Log);
    // After a command, nothing of it holds any more.
    let effects = update(&mut model, Msg::Returned("it ended".to_owned()));
    let wanted = [Effect::AskAll, Effect::Reload, Effect::Follow(host(), Some("sshd.service".to_owned()))];
    assert_eq!(effects, wanted);
    assert!(matches!(model.page.as_ref().unwrap().contents[0], Content::Unknown));
    assert_eq!(
        keys(&mut model, "2r\x1b"),
        [
            Effect::Fetch(host(), Tab::Units),
            Effect::AskAll,
            Effect::Reload,
            Effect::Fetch(host(), Tab::Units),
            Effect::Unfollow
        ]
    );
    assert!(model.page.is_none());
}

#[test]
fn a_log_is_followed_until_somebody_scrolls() {
    let mut page = on_page(80, 12, "3");
    let lines = |model: &mut Model, from: usize| {
        (from..from + 100).for_each(|number| tell(model, Msg::Line(format!("line {number}."))));
    };
    lines(&mut page, 0);
    assert!(picture(&page).contains("line 99."));
    let _ = keys(&mut page, "kk");
    lines(&mut page, 100);
    assert!(picture(&page).contains("line 97.") && !picture(&page).contains("line 98."), "{}", picture(&page));
    let _ = keys(&mut page, "G");
    lines(&mut page, 200);
    assert!(picture(&page).contains("line 299."));
    let _ = keys(&mut page, "/7.\n");
    assert!(picture(&page).contains("line 297.") && !picture(&page).contains("line 298."), "{}", picture(&page));
    tell(&mut page, Msg::LogEnded("the connection was lost".to_owned()));
    assert!(picture(&page).contains("ended: the connection was lost"));
}

#[test]
fn the_view_follows_the_fleet() {
    let mut model = model(80, 24);
    let _ = keys(&mut model, "jj ");
    assert_eq!(model.marked.len(), 1);
    // A host that is gone is gone from everywhere; what is known of others stays.
    let flake = FlakeNow { title: "/srv/hub with changes".to_owned(), hosts: hosts(&["new", "p510", "p620"]) };
    tell(&mut model, Msg::Flake(Err("it does not evaluate".to_owned())));
    tell(&mut model, Msg::Flake(Ok(flake)));
    assert!(model.flake_problem.is_none() && model.marked.is_empty());
    assert_eq!(
        model.entries.iter().map(super::model::Entry::word).collect::<Vec<_>>(),
        ["not asked yet", "in sync", "behind"]
    );

    // How long a host takes, and how old what is known is.
    let host = || "p510".parse().unwrap();
    tell(&mut model, Msg::Asking(host()));
    tell(&mut model, Msg::Tick(Timestamp::from_second(NOW + 9).unwrap()));
    assert!(picture(&model).contains("for 9 s"), "{}", picture(&model));
    tell(&mut model, Msg::Seen { seen: Box::new(unreachable("p510")), comparing: false });
    assert!(picture(&model).contains("unreachable") && picture(&model).contains("0 s ago"), "{}", picture(&model));
    tell(&mut model, Msg::Seen { seen: Box::new(seen("p510", &[Drift::Unknown])), comparing: true });
    assert!(picture(&model).contains("comparing"));
}
