//! Changes as lists that people read: equal ones of several hosts are told once, in the terminal and as Markdown.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::Compared;
use crate::nix::{Change, PackageChange, StorePath, split_version};
use crate::plan::{Changes, Names, shared};
use crate::report::units::bytes;
use crate::report::{Cell, Palette, Style, Table};

/// What a change is about, in the order in which it is told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Section {
    Boot,
    Units,
    Packages,
    Users,
    Groups,
    Ports,
    Secrets,
    Etc,
}

impl Section {
    const fn heading(self) -> &'static str {
        match self {
            Self::Boot => "takes effect with a reboot",
            Self::Units => "units",
            Self::Packages => "packages",
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Ports => "open ports",
            Self::Secrets => "secrets",
            Self::Etc => "files in /etc",
        }
    }
}

/// Whether something comes or goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Sign {
    Comes,
    Goes,
    Up,
    Down,
    Other,
}

impl Sign {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Comes => "+",
            Self::Goes => "-",
            Self::Up => "↑",
            Self::Down => "↓",
            Self::Other => "~",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Comes | Self::Up => Style::Ok,
            Self::Goes | Self::Down => Style::Fail,
            Self::Other => Style::Changed,
        }
    }
}

/// One change, as a line.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Item {
    section: Section,
    name: String,
    sign: Sign,
    text: String,
    size_change: Option<i64>,
}

/// The changes that the same hosts have.
struct Group<'a> {
    hosts: Vec<&'a str>,
    items: Vec<Item>,
}

/// The changes as text for the terminal.
pub(super) fn text(compared: &[Compared], palette: Palette, width: Option<usize>) -> String {
    let mut parts = vec![headlines(compared).render(palette, width)];
    for group in groups(compared) {
        parts.push("\n".to_owned());
        if compared.len() > 1 {
            parts.push(palette.paint(Style::Host, &group.hosts.join(" ")) + "\n");
        }
        for section in sections(&group.items) {
            parts.push(format!("  {}\n", palette.paint(Style::Dim, section[0].section.heading())));
            parts.push(table(section).render(palette, width));
        }
    }
    parts.concat()
}

/// The changes as Markdown, for a pull request.
pub(super) fn markdown(compared: &[Compared]) -> String {
    let mut lines = vec!["| host | from | to | closure | |".to_owned(), "|---|---|---|---|---|".to_owned()];
    for one in compared {
        let cells = headline(one).map(|cell| escaped(&cell));
        lines.push(format!("| {} | {} |", escaped(&one.host), cells.join(" | ")));
    }
    for group in groups(compared) {
        let hosts: Vec<_> = group.hosts.iter().map(|host| escaped(host)).collect();
        lines.push(format!("\n### {}", hosts.join(", ")));
        for section in sections(&group.items) {
            lines.push(format!("\n**{}**\n", section[0].section.heading()));
            lines.extend(section.iter().map(markdown_line));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn markdown_line(item: &Item) -> String {
    let words = [format!("`{}`", item.name.replace('`', "'")), escaped(&item.text)];
    let size = item.size_change.map(|size| format!("({})", signed_bytes(size)));
    let words = words.into_iter().filter(|word| !word.is_empty()).chain(size);
    // A bare sign would begin another list.
    let sign =
        if item.sign.as_str().is_ascii() { format!("\\{}", item.sign.as_str()) } else { item.sign.as_str().to_owned() };
    format!("- {sign} {}", words.collect::<Vec<_>>().join(" "))
}

/// A text that Markdown takes for nothing else, also as a cell of a table.
fn escaped(text: &str) -> String {
    let special = |c: char| "\\`*_[]<>|~".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

fn headlines(compared: &[Compared]) -> Table {
    let mut table = Table::new();
    for one in compared {
        let style = if one.error.is_some() { Style::Fail } else { Style::Dim };
        let [from, to, closure, what] = headline(one);
        let systems = if to.is_empty() { from } else { format!("{from} → {to}") };
        table.row([
            Cell::styled(Style::Host, one.host.clone()),
            systems.into(),
            closure.into(),
            Cell::styled(style, what),
        ]);
    }
    table
}

/// From what to what, how large the new closure is, and what matters most.
fn headline(one: &Compared) -> [String; 4] {
    let none = String::new;
    let (Some(old), Some(new), Some(changes)) = (&one.old, &one.new, &one.changes) else {
        return ["not compared".to_owned(), none(), none(), none()];
    };
    if old == new {
        return ["unchanged".to_owned(), none(), none(), none()];
    }
    let version = |path: &StorePath| format!("{} ({})", path.short_hash(), split_version(path.name()).1);
    let same_version = split_version(old.name()).1 == split_version(new.name()).1;
    let shown = |path: &StorePath| if same_version { path.short_hash().to_owned() } else { version(path) };
    let closure = format!("{} ({})", bytes(changes.closure.new), signed_bytes(changes.closure.change()));
    let what = if changes.reboot.is_empty() { none() } else { "reboot needed".to_owned() };
    [shown(old), shown(new), closure, what]
}

fn groups(compared: &[Compared]) -> Vec<Group<'_>> {
    let of: BTreeMap<_, _> = compared.iter().map(|one| (one.host.as_str(), items(one))).collect();
    shared(&of)
        .into_iter()
        .map(|(hosts, items)| Group { hosts: hosts.into_iter().collect(), items: items.into_iter().collect() })
        .collect()
}

fn sections(items: &[Item]) -> impl Iterator<Item = &[Item]> {
    items.chunk_by(|a, b| a.section == b.section)
}

fn table(items: &[Item]) -> Table {
    let mut table = Table::new().right(3);
    for item in items {
        table.row([
            Cell::styled(item.sign.style(), format!("    {}", item.sign.as_str())),
            item.name.clone().into(),
            item.text.clone().into(),
            Cell::styled(Style::Dim, item.size_change.map(signed_bytes).unwrap_or_default()),
        ]);
    }
    table
}

fn items(one: &Compared) -> BTreeSet<Item> {
    let Some(changes) = &one.changes else { return BTreeSet::new() };
    let toplevel = |path: &Option<StorePath>| path.as_ref().map(|path| split_version(path.name()).0.to_owned());
    let own = [toplevel(&one.old), toplevel(&one.new)];
    // The system itself is named for its host, and stands in the headline.
    let packages = changes.packages.iter().filter(|package| !own.contains(&Some(package.name.clone())));
    packages.map(package).chain(boots(changes)).chain(units(changes)).chain(names(changes)).collect()
}

fn plain(section: Section, sign: Sign, name: &str, text: &str) -> Item {
    Item { section, name: name.to_owned(), sign, text: text.to_owned(), size_change: None }
}

fn package(change: &PackageChange) -> Item {
    let versions = |list: &[String]| {
        let shown = list.iter().map(|version| if version.is_empty() { "no version" } else { version });
        shown.collect::<Vec<_>>().join(", ")
    };
    let arrow = || format!("{} → {}", or_none(versions(&change.old)), or_none(versions(&change.new)));
    let (sign, text) = match change.change {
        Change::Added => (Sign::Comes, versions(&change.new)),
        Change::Removed => (Sign::Goes, versions(&change.old)),
        Change::Up => (Sign::Up, arrow()),
        Change::Down => (Sign::Down, arrow()),
        Change::Versions => (Sign::Other, arrow()),
        Change::Size => (Sign::Other, "same version".to_owned()),
    };
    let (name, size_change) = (change.name.clone(), Some(change.size_change).filter(|size| *size != 0));
    Item { section: Section::Packages, name, sign, text, size_change }
}

fn or_none(versions: String) -> String {
    if versions.is_empty() { "none".to_owned() } else { versions }
}

fn boots(changes: &Changes) -> impl Iterator<Item = Item> {
    changes.reboot.iter().map(|part| plain(Section::Boot, Sign::Other, part.as_str(), ""))
}

fn units(changes: &Changes) -> impl Iterator<Item = Item> {
    changes.units.iter().flat_map(|units| {
        let again = |name: &&String| units.stop.contains(*name) && units.start.contains(*name);
        let item = |sign, verb| move |name: &String| plain(Section::Units, sign, name, verb);
        let stop = units.stop.iter().filter(move |name| !again(name)).map(item(Sign::Goes, "stops"));
        let start = units.start.iter().filter(move |name| !again(name)).map(item(Sign::Comes, "starts"));
        let both = units.stop.intersection(&units.start).map(item(Sign::Other, "stops, and starts again"));
        let restart = units.restart.iter().map(item(Sign::Other, "restarts"));
        let reload = units.reload.iter().map(item(Sign::Other, "reloads"));
        let left_alone = units.left_alone.iter().map(item(Sign::Other, "changed, and goes on as it is"));
        stop.chain(start).chain(both).chain(restart).chain(reload).chain(left_alone)
    })
}

fn names(changes: &Changes) -> impl Iterator<Item = Item> {
    let sections: [(Section, &Option<Names>); 5] = [
        (Section::Users, &changes.users),
        (Section::Groups, &changes.groups),
        (Section::Ports, &changes.ports),
        (Section::Secrets, &changes.secrets),
        (Section::Etc, &changes.etc),
    ];
    sections.into_iter().filter_map(|(section, names)| Some((section, names.as_ref()?))).flat_map(|(section, names)| {
        let signs = [(&names.added, Sign::Comes), (&names.removed, Sign::Goes), (&names.changed, Sign::Other)];
        signs.into_iter().flat_map(move |(names, sign)| names.iter().map(move |name| plain(section, sign, name, "")))
    })
}

pub(super) fn signed_bytes(change: i64) -> String {
    let sign = if change < 0 { "-" } else { "+" };
    format!("{sign}{}", bytes(change.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Sizes;
    use crate::remote::{RebootReason, UnitChanges};

    fn compared(host: &str, new: char, packages: Vec<PackageChange>) -> Compared {
        let path = |c: char| -> StorePath {
            format!("/nix/store/{}-nixos-system-{host}-25.11", c.to_string().repeat(32)).parse().unwrap()
        };
        let changes = Changes { packages, closure: Sizes { old: 1024, new: 3072 }, ..Changes::default() };
        Compared {
            host: host.to_owned(),
            old: Some(path('a')),
            new: Some(path(new)),
            changes: Some(changes),
            notes: Vec::new(),
            error: None,
        }
    }

    fn change(name: &str, change: Change, old: &str, new: &str) -> PackageChange {
        let versions = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        PackageChange { name: name.to_owned(), change, old: versions(old), new: versions(new), size_change: 2048 }
    }

    fn sample() -> Vec<Compared> {
        let vim = || change("vim", Change::Up, "9.0", "9.1");
        let own = |host: &str| change(&format!("nixos-system-{host}"), Change::Size, "", "");
        let mut first = compared("p510", 'b', vec![vim(), own("p510"), change("new", Change::Added, "", "")]);
        if let Some(changes) = &mut first.changes {
            changes.reboot = vec![RebootReason::Kernel];
            changes.units =
                Some(UnitChanges { restart: ["web_1.service".to_owned()].into(), ..UnitChanges::default() });
            changes.etc = Some(Names { removed: vec!["old.conf".to_owned()], ..Names::default() });
        }
        let second = compared("p620", 'c', vec![vim(), own("p620")]);
        let failed = Compared {
            host: "razer".to_owned(),
            old: None,
            new: None,
            changes: None,
            notes: Vec::new(),
            error: Some("no route".to_owned()),
        };
        vec![first, second, compared("samsung", 'a', Vec::new()), failed]
    }

    #[test]
    fn what_is_the_same_is_told_once() {
        let text = text(&sample(), Palette::Plain, None);
        let wanted = "\
p510     aaaaaaaa → bbbbbbbb  3 KiB (+2 KiB)  reboot needed
p620     aaaaaaaa → cccccccc  3 KiB (+2 KiB)
samsung  unchanged
razer    not compared

p510 p620
  packages
    ↑  vim  9.0 → 9.1  +2 KiB

p510
  takes effect with a reboot
    ~  kernel
  units
    ~  web_1.service  restarts
  packages
    +  new    +2 KiB
  files in /etc
    -  old.conf
";
        let trimmed: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, wanted.lines().collect::<Vec<_>>());
    }

    #[test]
    fn markdown_says_the_same() {
        let text = markdown(&sample());
        for line in [
            "| p510 | aaaaaaaa | bbbbbbbb | 3 KiB (+2 KiB) | reboot needed |",
            "| samsung | unchanged |  |  |  |",
            "### p510, p620",
            "- ↑ `vim` 9.0 → 9.1 (+2 KiB)",
            "- \\~ `web_1.service` restarts",
            "- \\- `old.conf`",
        ] {
            assert!(text.lines().any(|one| one == line), "no `{line}` in\n{text}");
        }
        assert_eq!(escaped("a|b_c"), "a\\|b\\_c");
    }
}
