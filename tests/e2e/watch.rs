//! The live view in a real terminal, with real hosts.

use rexpect::process::Signal;

use crate::support::{Hub, Lab, Screen, eventually};

fn watch(hub: &Hub, words: &[&str], columns: u16, rows: u16) -> Screen {
    let words = [&["status", "--watch", "--every", "1s"], words].concat();
    Screen::start(&hub.command(&words), columns, rows)
}

/// The row of a host.
fn row(screen: &str, host: &str) -> String {
    let is_it = |line: &&str| line.split_whitespace().next() == Some(host);
    screen.lines().find(is_it).unwrap_or_default().to_owned()
}

#[test]
fn the_fleet_is_shown_as_it_is_and_hosts_have_pages() {
    let lab = Lab::up(&["p510", "p620", "razer"]);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p510", "p620"]).exits(0);
    lab.cut("razer");
    let screen = watch(&hub, &["p510", "p620", "razer"], 80, 24);
    screen.reaches("p510 in sync", |text| row(text, "p510").contains("in sync"));
    assert!(screen.is_taken() && screen.is_raw());
    // A host that does not answer keeps no other from being shown, nor keys from being heard.
    lab.ssh("p620", "systemd-run --unit=broken false; sleep 1");
    screen.reaches("what failed on p620", |text| row(text, "p620").contains(" 1 "));
    screen.keys("/p6\r");
    screen.reaches("p620 alone", |text| row(text, "p510").is_empty() && !row(text, "p620").is_empty());
    screen.shows("failed units: broken.service");
    screen.keys("\u{1b}");
    screen.reaches("all of them", |text| !row(text, "p510").is_empty());
    screen.keys("?");
    screen.shows("mark the host");
    screen.keys(" ");
    screen.resize(120, 40);
    screen.reaches("more columns", |text| text.contains("UPTIME"));
    screen.resize(50, 12);
    screen.reaches("fewer columns", |text| !text.contains("UPTIME") && row(text, "p510").contains("in sync"));
    screen.resize(100, 30);

    // The page, and a log that goes on while it is looked at.
    screen.keys("\r");
    screen.reaches("the page", |text| text.contains("1 Overview") && text.contains("p620  in sync"));
    screen.keys("2");
    screen.reaches("the unit that failed", |text| row(text, "broken.service").contains("failed"));
    screen.keys("3");
    screen.shows("all units: following");
    lab.ssh("p620", "logger --tag hubctl-test the first line");
    screen.shows("the first line");
    lab.ssh("p620", "logger --tag hubctl-test and another one");
    screen.shows("and another one");
    screen.keys("6");
    screen.shows("boot default, running");
    screen.keys("5");
    // Times are whole where a terminal is as narrow as usual.
    screen.resize(80, 24);
    let has_minutes = |text: &str| {
        let line = text.lines().find(|line| line.contains("quick-deploy"));
        line.is_some_and(|line| line.split_whitespace().nth(1).is_some_and(|time| time.len() == "12:34".len()))
    };
    screen.reaches("when it was deployed", has_minutes);
    screen.keys("4");
    screen.shows("unchanged");
    screen.keys("\u{1b}");
    screen.shows("STATE");
    // Nothing goes on there that nobody looks at any more.
    eventually("the log is not followed", || lab.ssh("p620", "pgrep -x journalctl || true").is_empty());
    screen.reaches("razer unreachable", |text| row(text, "razer").contains("unreachable"));
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_given_back();
}

#[test]
fn commands_are_run_from_it_and_ask_as_they_always_do() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620"]).exits(0);
    let first = lab.current("p620");
    let screen = watch(&hub, &["p620"], 100, 30);
    screen.reaches("in sync", |text| row(text, "p620").contains("in sync"));
    hub.set_host("p620", "units.shop = { };");
    screen.keys("r");
    screen.reaches("behind", |text| row(text, "p620").contains("behind"));

    // Declined, nothing happens; Ctrl-C in the command ends the command alone.
    screen.keys("d");
    screen.prints("Deploy p620?");
    assert!(!screen.is_taken());
    screen.keys("n\r");
    screen.prints("any key goes back");
    screen.keys(" ");
    screen.shows("ended with exit code 130");
    assert_eq!(lab.current("p620"), first);
    screen.keys("d");
    screen.prints("Deploy p620?");
    screen.keys("\u{3}");
    screen.prints("any key goes back");
    screen.keys(" ");
    screen.reaches("behind", |text| row(text, "p620").contains("behind"));
    screen.keys("d");
    screen.prints("shop.service");
    screen.prints("Deploy p620?");
    screen.keys("y\r");
    screen.prints("any key goes back");
    assert_ne!(lab.current("p620"), first);
    screen.keys(" ");
    screen.shows("ended well");
    screen.reaches("in sync", |text| row(text, "p620").contains("in sync"));

    screen.keys("R");
    screen.shows("Roll p620 back to the generation before? [y/N]");
    screen.keys("n");
    screen.shows("nothing was changed");
    screen.keys("Ry");
    screen.prints("any key goes back");
    assert_eq!(lab.current("p620"), first);
    screen.keys(" ");
    screen.reaches("behind", |text| row(text, "p620").contains("behind"));

    screen.keys("!");
    screen.prints("$ a shell on p620");
    screen.keys("echo it is $((40 + 2))\r");
    screen.prints("it is 42");
    screen.keys("exit\r");
    screen.reaches("the view", |_| screen.is_taken());
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_given_back();
}

#[test]
fn the_terminal_is_given_back_whatever_ends_the_view() {
    let hub = Hub::offline();
    for (signal, code) in [(Signal::SIGTERM, 130), (Signal::SIGINT, 130), (Signal::SIGHUP, 130)] {
        let mut screen = watch(&hub, &["--no-eval", "p620"], 80, 24);
        screen.reaches("the table", |text| text.contains("STATE") && !row(text, "p620").is_empty());
        assert!(screen.is_taken() && screen.is_raw());
        screen.signal(signal);
        assert_eq!(screen.exit(), code, "{signal}");
        screen.assert_given_back();
    }
    // Ctrl-C as a key, in the middle of a word that is being typed.
    let screen = watch(&hub, &["--no-eval", "p620"], 80, 24);
    screen.shows("STATE");
    screen.keys("/x\u{3}");
    assert_eq!(screen.exit(), 0);
    screen.assert_given_back();
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_told_on_it() {
    let mut hub = Hub::offline();
    let sign = hub.root().with_file_name("panic");
    hub.set_env("HUBCTL_TEST_WATCH_PANIC", sign.to_str().unwrap());
    let screen = watch(&hub, &["--no-eval", "p620"], 100, 24);
    screen.reaches("the table", |text| text.contains("STATE") && !row(text, "p620").is_empty());
    assert!(screen.is_taken() && screen.is_raw());
    std::fs::write(&sign, "").unwrap();
    screen.shows("HUBCTL_TEST_WATCH_PANIC says so");
    assert_eq!(screen.exit(), 101);
    screen.assert_given_back();
}

#[test]
fn without_a_terminal_there_is_no_view() {
    let hub = Hub::offline();
    hub.run(&["status", "--watch"]).exits(2).says("--watch needs a terminal").says("hint: without --watch");
    hub.json(&["status", "--watch"]).exits(2);
    hub.run(&["status", "--every", "5s"]).exits(2);
    hub.run(&["status", "--watch", "--every", "0s"]).exits(2).says("such as `1s`");
}
