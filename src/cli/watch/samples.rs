//! A fleet of which everything is known, for tests.

use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Entry, Model, Size};
use super::update::{Effect, Msg, update};
use crate::cli::looker::Seen;
use crate::fleet::{FlakeHosts, Host, Inventory};
use crate::nix::StorePath;
use crate::plan::Drift;
use crate::remote::{Ailment, Facts, Place, Space};

/// The time in the samples.
pub(super) const NOW: i64 = 1_760_000_000;

pub(super) fn hosts(names: &[&str]) -> Vec<Host> {
    let known = FlakeHosts::of_names(names.iter().map(|name| (*name).to_owned()).collect());
    let (inventory, _) = Inventory::new(None, &known).unwrap();
    inventory.iter().cloned().collect()
}

/// A host that answered a moment ago.
pub(super) fn seen(host: &str, drifts: &[Drift]) -> Seen {
    let path = |hash: char| -> Option<StorePath> {
        format!("/nix/store/{}-nixos-system-{host}-25.11", hash.to_string().repeat(32)).parse().ok()
    };
    let space = |free: u64| Some(Space { total: 500 << 30, free: free << 30 });
    let facts = Facts {
        system: Some("x86_64-Linux".to_owned()),
        current: path('a'),
        profile: path('a'),
        booted: path('b'),
        generation: Some(41),
        generation_made: Some(NOW - 90 * 60),
        now: Some(NOW),
        uptime: Some(3 * 86_400),
        store_space: space(120),
        boot_space: Some(Space { total: 512 << 20, free: 200 << 20 }),
        systemd: true,
        ..Facts::default()
    };
    Seen {
        host: host.parse().unwrap(),
        reachable: true,
        drift: Some(drifts.first().copied().unwrap_or(Drift::None)),
        drifts: drifts.to_vec(),
        wanted: path('c'),
        facts: Some(facts),
        deployed: None,
        checks: Some(2),
        failed_checks: Vec::new(),
        errors: Vec::new(),
    }
}

/// A host that does not answer.
pub(super) fn unreachable(host: &str) -> Seen {
    let errors = vec![format!("{host} did not answer within 10 s")];
    Seen { reachable: false, facts: None, drift: None, checks: None, wanted: None, errors, ..seen(host, &[]) }
}

/// A view of four hosts, one of each kind that matters.
pub(super) fn model(columns: u16, rows: u16) -> Model {
    let hosts = hosts(&["p510", "p620", "razer", "samsung"]);
    let now = Timestamp::from_second(NOW).unwrap();
    let mut model = Model::new("/srv/hub at 0123abcd".to_owned(), &hosts, now, Size { columns, rows });
    let mut broken = seen("p620", &[Drift::Behind, Drift::RebootPending]);
    if let Some(facts) = &mut broken.facts {
        facts.failed_units = vec!["shop.service".to_owned(), "web.service".to_owned()];
    }
    let check = "https://p620/health".to_owned();
    broken.failed_checks = vec![Ailment { check, from: Place::Operator, seen: "status 503".to_owned() }];
    for one in [seen("p510", &[]), broken, unreachable("razer")] {
        tell(&mut model, Msg::Seen { seen: Box::new(one), comparing: false });
    }
    let tagged = |entry: &mut Entry| (entry.role, entry.tags) = (Some("server".to_owned()), ["edge".to_owned()].into());
    tagged(&mut model.entries[1]);
    model
}

/// Tells the view something after which nothing is to be done.
#[track_caller]
pub(super) fn tell(model: &mut Model, message: Msg) {
    assert_eq!(update(model, message), Vec::new());
}

/// Types each character of `keys`; `\n` is Enter, `\x1b` Escape, `\t` Tab. Gives all that is to be done.
pub(super) fn keys(model: &mut Model, keys: &str) -> Vec<Effect> {
    keys.chars().flat_map(|c| press(model, c)).collect()
}

fn press(model: &mut Model, c: char) -> Vec<Effect> {
    let code = match c {
        '\n' => KeyCode::Enter,
        '\x1b' => KeyCode::Esc,
        '\t' => KeyCode::Tab,
        '↓' => KeyCode::Down,
        c => KeyCode::Char(c),
    };
    update(model, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}
