//! What two or more hosts say alike, what sharing it would save, and how much of a hub is shared by now.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, host_of};
use super::run::{read_all, text_of};
use super::source::Source;
use super::statements::{Statement, statements};
use super::tree::{self, Facts, Tree};

/// What is known of hosts beside their files: groups that they are in, each with its hosts.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// By role.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// By tag.
    pub tags: BTreeMap<String, BTreeSet<String>>,
}

/// Where something that several hosts say belongs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Belongs {
    /// In a module that all hosts import.
    Everywhere,
    /// In the template of a role.
    Template(String),
    /// In the profile of a tag.
    Profile(String),
    /// In a module of its own, about these options.
    Module(String),
    /// In a profile that these hosts import.
    NewProfile,
}

/// What the same hosts say alike.
#[derive(Clone, Debug)]
pub struct Alike {
    /// The hosts.
    pub hosts: BTreeSet<String>,
    /// How many lines less there would be, were it written once.
    pub saves: usize,
    /// Where it belongs.
    pub belongs: Belongs,
    /// What they say, in the order of the options.
    pub said: Vec<Said>,
}

/// Something that several hosts say.
#[derive(Clone, Debug)]
pub struct Said {
    /// It in one line.
    pub text: String,
    /// Where: files, each with a line.
    pub places: Vec<(String, usize)>,
}

/// How much of what hosts are made of is written once for several of them. Blank lines and comments are not counted, nor is what the
/// flake itself adds to all hosts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figure {
    /// The lines of each host's files and of all that they import, added up over all hosts.
    pub used: usize,
    /// The lines of all these files, each counted once.
    pub written: usize,
}

impl Figure {
    /// The part of the lines that need not be written again, from 0 to 1.
    pub fn shared(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no hub has so many lines")]
        let part = self.written as f64 / self.used.max(1) as f64;
        if self.used == 0 { 0.0 } else { 1.0 - part }
    }
}

/// What was found in a hub.
#[derive(Clone, Debug)]
pub struct Duplication {
    /// The hosts that have files of their own.
    pub hosts: BTreeSet<String>,
    /// What several of them say alike; first what saves most.
    pub alike: Vec<Alike>,
    /// How much is shared by now.
    pub figure: Figure,
}

/// What one file says.
struct OfFile {
    path: String,
    lines: usize,
    facts: Facts,
    said: Vec<Statement>,
}

/// Compares what the hosts of a hub say in their own files, which lie below `hosts`, `machines` or `systems`.
pub fn duplication(root: &Path, files: &[PathBuf], groups: &Groups) -> io::Result<Duplication> {
    let read = read_all(files, |path| text_of(&root.join(path)), |source| of_file(&source), |_, _| None)?;
    let read: Vec<_> = read.into_iter().flatten().collect();
    let of_host = |file: &OfFile| host_of(&file.path).map(str::to_owned);
    let hosts: BTreeSet<_> = read.iter().filter_map(of_host).collect();
    let mut alike = alike(&read, &hosts, groups);
    alike.retain(|alike| alike.saves > 0);
    alike.sort_by(|a, b| b.saves.cmp(&a.saves).then_with(|| a.hosts.cmp(&b.hosts)));
    Ok(Duplication { figure: figure(root, &read, &hosts), hosts, alike })
}

fn of_file(source: &Source) -> Option<OfFile> {
    let (file, _) = file::read(source);
    let file = file?;
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let said = if file.is_of_host() { statements(&file) } else { Vec::new() };
    let lines = source.text().lines().filter(is_code).count();
    Some(OfFile { path: source.path().to_owned(), lines, facts: tree::facts(&file), said })
}

/// A statement of a host, with the file that it stands in.
type Place<'a> = (&'a str, &'a str, &'a Statement);

/// What each set of hosts says alike: each statement belongs to all hosts that make it.
fn alike(read: &[OfFile], all: &BTreeSet<String>, groups: &Groups) -> Vec<Alike> {
    let mut by_text: BTreeMap<&str, Vec<Place<'_>>> = BTreeMap::new();
    for file in read {
        let Some(host) = host_of(&file.path) else { continue };
        for statement in &file.said {
            by_text.entry(&statement.text).or_default().push((host, &file.path, statement));
        }
    }
    let mut by_hosts: BTreeMap<BTreeSet<&str>, Vec<Vec<Place<'_>>>> = BTreeMap::new();
    for places in by_text.into_values() {
        let hosts: BTreeSet<_> = places.iter().map(|(host, ..)| *host).collect();
        if hosts.len() > 1 {
            by_hosts.entry(hosts).or_default().push(places);
        }
    }
    let alike = by_hosts.into_iter().map(|(hosts, said)| {
        let hosts: BTreeSet<_> = hosts.into_iter().map(str::to_owned).collect();
        let belongs = belongs(&hosts, all, &said, groups);
        Alike { saves: saves(&said), belongs, said: said.iter().map(|places| said_at(places)).collect(), hosts }
    });
    alike.collect()
}

fn said_at(places: &[Place<'_>]) -> Said {
    let text = places.first().map(|(.., statement)| statement.text.clone()).unwrap_or_default();
    let place = |(_, path, statement): &Place<'_>| ((*path).to_owned(), *statement.lines.start());
    Said { text, places: places.iter().map(place).collect() }
}

/// The lines that all hosts but one need not have. A line counts once, however much of it is alike.
fn saves(said: &[Vec<Place<'_>>]) -> usize {
    let mut lines: BTreeMap<&str, BTreeSet<(&str, usize)>> = BTreeMap::new();
    for (host, path, statement) in said.iter().flatten() {
        lines.entry(host).or_default().extend(statement.lines.clone().map(|line| (*path, line)));
    }
    let counts = || lines.values().map(BTreeSet::len);
    counts().sum::<usize>() - counts().max().unwrap_or_default()
}

fn belongs(hosts: &BTreeSet<String>, all: &BTreeSet<String>, said: &[Vec<Place<'_>>], groups: &Groups) -> Belongs {
    if hosts == all {
        return Belongs::Everywhere;
    }
    // Of a group, those count that have files here.
    let of = |groups: &BTreeMap<String, BTreeSet<String>>| {
        let is_it = |members: &BTreeSet<String>| members.intersection(all).eq(hosts.iter());
        groups.iter().find(|(_, members)| is_it(members)).map(|(name, _)| name.clone())
    };
    if let Some(role) = of(&groups.roles) {
        return Belongs::Template(role);
    }
    if let Some(tag) = of(&groups.tags) {
        return Belongs::Profile(tag);
    }
    let about: BTreeSet<_> = said
        .iter()
        .flatten()
        .map(|(.., statement)| statement.option[..statement.option.len().min(2)].join("."))
        .collect();
    match about.into_iter().collect::<Vec<_>>().as_slice() {
        [about] if about != "imports" => Belongs::Module(about.clone()),
        _ => Belongs::NewProfile,
    }
}

fn figure(root: &Path, read: &[OfFile], hosts: &BTreeSet<String>) -> Figure {
    let facts: BTreeMap<_, _> = read.iter().map(|file| (file.path.as_str(), &file.facts)).collect();
    let lines: BTreeMap<_, _> = read.iter().map(|file| (file.path.as_str(), file.lines)).collect();
    let tree = Tree { root, files: facts, before: &BTreeMap::new() };
    let (mut used, mut all) = (0, BTreeSet::new());
    for host in hosts {
        let own = lines.keys().copied().filter(|path| host_of(path) == Some(host));
        let files = tree.reached(own);
        used += files.iter().map(|path| lines[path]).sum::<usize>();
        all.extend(files);
    }
    Figure { used, written: all.iter().map(|path| lines[path]).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], groups: &Groups) -> Duplication {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(path), text).unwrap();
        }
        let paths: Vec<_> = files.iter().map(|(path, _)| PathBuf::from(path)).collect();
        duplication(dir.path(), &paths, groups).unwrap()
    }

    fn told(found: &Duplication) -> Vec<(String, usize, Belongs)> {
        let one = |alike: &Alike| {
            let hosts = alike.hosts.iter().cloned().collect::<Vec<_>>().join(" ");
            (hosts, alike.saves, alike.belongs.clone())
        };
        found.alike.iter().map(one).collect()
    }

    #[test]
    fn what_hosts_say_alike_is_ranked_by_what_it_saves() {
        let file = |more: &str| format!("{{\n  services.openssh.enable = true;\n{more}}}\n");
        let nginx = "  services.nginx = {\n    enable = true;\n    recommendedTlsSettings = true;\n  };\n";
        let mixed = "  time.timeZone = \"Europe/Oslo\";\n  programs.zsh.enable = true;\n  zramSwap.enable = true;\n";
        let files = [
            ("hosts/a/default.nix", file(&format!("{nginx}{mixed}"))),
            ("hosts/b/default.nix", file(nginx)),
            ("hosts/c.nix", file(mixed)),
            ("hosts/d.nix", file("  a.own = 1;\n")),
        ];
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let alone = told(&found(&files, &Groups::default()));
        let all = "a b c d".to_owned();
        assert_eq!(
            alone,
            [
                (all.clone(), 3, Belongs::Everywhere),
                ("a c".to_owned(), 3, Belongs::NewProfile),
                ("a b".to_owned(), 2, Belongs::Module("services.nginx".to_owned())),
            ]
        );
        let of = |name: &str, hosts: &[&str]| {
            BTreeMap::from([(name.to_owned(), hosts.iter().map(|host| (*host).to_owned()).collect())])
        };
        let groups = Groups { roles: of("desktop", &["a", "c", "elsewhere"]), tags: of("web", &["a", "b"]) };
        let known = told(&found(&files, &groups));
        assert_eq!(known[1].2, Belongs::Template("desktop".to_owned()));
        assert_eq!(known[2].2, Belongs::Profile("web".to_owned()));
    }

    #[test]
    fn the_figure_counts_what_is_imported_for_each_host() {
        let shared = "{\n  # not counted\n  a = 1;\n\n  b = 2;\n}\n";
        let host = "{\n  imports = [ ../modules/m.nix ];\n}\n";
        let found = found(
            &[("modules/m.nix", shared), ("hosts/a.nix", host), ("hosts/b.nix", host), ("modules/other.nix", shared)],
            &Groups::default(),
        );
        assert_eq!(found.figure, Figure { used: 14, written: 10 });
        assert!((found.figure.shared() - 4.0 / 14.0).abs() < 1e-9);
        assert!(Figure::default().shared().abs() < 1e-9);
    }
}
