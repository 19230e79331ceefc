//! `hubctl trace-option`.

use std::fs;
use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result, nearest};
use crate::nix::{Looked, OptionLook, Query, Source, ask};
use crate::report::{Output, Style};

/// How many names are told where there is no such option.
const TOLD: usize = 20;

/// Tells an option's value on a host, and what sets it: files, lines, and how strong that is.
#[derive(Args, Debug)]
pub(super) struct TraceOptionArgs {
    /// The host.
    #[arg(value_name = "HOST")]
    host: String,
    /// The option, such as `networking.firewall.allowedTCPPorts`; names with dots in them stand in quotes.
    #[arg(value_name = "OPTION")]
    option: String,
}

/// An option, as it is told.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Traced {
    host: String,
    option: String,
    value: Value,
    defined: bool,
    r#type: Option<String>,
    description: Option<String>,
    priority: Option<i64>,
    definitions: Vec<Place>,
    declarations: Vec<Place>,
}

/// A place in a file; a file of the flake is named from its root.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Place {
    file: String,
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

pub(super) async fn run(hub: &Hub, args: TraceOptionArgs) -> Result<Exit> {
    let names = names_of(&args.option)
        .ok_or_else(|| Error::message(Kind::Usage, format!("`{}` is no option's name", args.option)))?;
    let (fleet, evaluator) = hub.load().await?;
    let hosts = hub.select(&fleet.inventory, std::slice::from_ref(&args.host))?;
    let [host] = hosts.as_slice() else {
        return Err(Error::message(Kind::Usage, format!("`{}` selects {} hosts", args.host, hosts.len()))
            .hint("name one host: each has values of its own"));
    };
    let (nix, source) = (evaluator.nix(), evaluator.source());
    let query = Query::option(host.attribute(), &names);
    let asked = ask(nix, source, &query, &hub.cancel, |_| ()).await.and_then(|answer| query.read(nix, source, &answer));
    hub.not_stopped()?;
    let looked = asked.map_err(|error| {
        Error::message(Kind::Failed, format!("the option cannot be read: {error}"))
            .hint(format!("`{}` shows the same", error.command()))
    })?;
    match looked {
        Looked::Option(found) => {
            let traced = traced(host.name.to_string(), &names, *found, source);
            show(hub, &traced).map_err(|error| Error::new(Kind::Failed, error))?;
            Ok(Exit::Success)
        }
        other => Err(not_found(&args.option, &names, &other)),
    }
}

/// The names of an option's path.
fn names_of(option: &str) -> Option<Vec<String>> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    for c in option.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => names.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    names.push(name);
    (!quoted && names.iter().all(|name| !name.is_empty())).then_some(names)
}

fn not_found(option: &str, names: &[String], looked: &Looked) -> Error {
    let error = |message: String| Error::message(Kind::Usage, message);
    match looked {
        Looked::Set { names } => {
            let more = if names.len() > TOLD { ", .." } else { "" };
            let some = names.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
            error(format!("`{option}` is a set of options")).hint(format!("it has {some}{more}"))
        }
        Looked::Absent { depth, names: there } => {
            let wrong = names.get(*depth).map_or("", String::as_str);
            let place =
                if *depth == 0 { "the configuration".to_owned() } else { format!("`{}`", names[..*depth].join(".")) };
            let near = nearest(wrong, there.iter().map(String::as_str));
            error(format!("{place} has no `{wrong}`")).hints(near.map(|near| format!("did you mean `{near}`?")))
        }
        _ => error("the host's configuration tells no options".to_owned())
            .hint("options are known of systems that `nixpkgs.lib.nixosSystem` makes"),
    }
}

fn traced(host: String, names: &[String], found: OptionLook, source: &Source) -> Traced {
    let of_option = &names[..found.depth.min(names.len())];
    let root = source.path.as_path();
    let definitions = found.definitions.into_iter().map(|one| {
        let line = fs::read_to_string(&one.file).ok().and_then(|text| line_of(&text, of_option));
        Place { file: in_flake(&one.file, root), line, value: Some(one.value) }
    });
    let declarations = found.declarations.into_iter();
    Traced {
        host,
        option: names.join("."),
        value: found.value,
        defined: found.is_defined,
        r#type: found.r#type,
        description: found.description,
        priority: found.priority,
        definitions: definitions.collect(),
        declarations: declarations
            .map(|one| Place { file: in_flake(&one.file, root), line: one.line, value: None })
            .collect(),
    }
}

fn in_flake(file: &str, root: &Path) -> String {
    Path::new(file).strip_prefix(root).map_or_else(|_| file.to_owned(), |file| file.display().to_string())
}

/// The line that sets an option, where one alone looks like it: the module system tells the file and no more.
fn line_of(text: &str, names: &[String]) -> Option<u64> {
    let sets = |line: &str, wanted: &str| {
        let line = line.split('#').next().unwrap_or_default();
        line.match_indices(wanted).any(|(at, _)| {
            let before = line[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "{(.;".contains(c));
            let behind = line[at + wanted.len()..].trim_start();
            before && (behind.starts_with('.') || (behind.starts_with('=') && !behind.starts_with("==")))
        })
    };
    // The more of the path a line has, the surer it is.
    (0..names.len()).find_map(|from| {
        let wanted = names[from..].join(".");
        let mut found = (1_u64..).zip(text.lines()).filter(|(_, line)| sets(line, &wanted)).map(|(number, _)| number);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    })
}

fn show(hub: &Hub, traced: &Traced) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        return hub.ui.data_json(traced);
    }
    let palette = hub.ui.out();
    let say = |what: &str, text: &str| {
        let what = palette.paint(Style::Dim, &format!("{what:<11}"));
        hub.ui.data(&format!("{what} {}", text.trim_end().replace('\n', "\n            ")))
    };
    hub.ui.data(&format!("{} on {}", palette.paint(Style::Bold, &traced.option), traced.host))?;
    say("value", &pretty(&traced.value))?;
    traced.r#type.iter().try_for_each(|text| say("type", text))?;
    traced.description.iter().try_for_each(|text| say("description", text))?;
    let set_by = if traced.defined { "" } else { "; only its default sets it" };
    traced.priority.iter().try_for_each(|number| say("priority", &format!("{number}{}{set_by}", strength(*number))))?;
    for one in &traced.definitions {
        say("set in", &format!("{}\n{}", place(one), one.value.as_ref().map(pretty).unwrap_or_default()))?;
    }
    traced.declarations.iter().try_for_each(|one| say("declared in", &place(one)))
}

fn place(one: &Place) -> String {
    one.line.map_or_else(|| one.file.clone(), |line| format!("{}:{line}", one.file))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What the module system calls a priority.
const fn strength(priority: i64) -> &'static str {
    match priority {
        10 => " (mkVMOverride)",
        50 => " (mkForce)",
        60 => " (mkImageMediaOverride)",
        1000 => " (mkDefault)",
        1500 => " (the option's default)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_stand_in_quotes() {
        assert_eq!(names_of("a.\"b.c\".d").unwrap(), ["a", "b.c", "d"]);
        for wrong in ["", "a..b", "a.\"b", ".a"] {
            assert_eq!(names_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_line_that_sets_an_option_is_found_where_one_alone_does() {
        let names = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let text =
            "{\n  # a.b.c = 1;\n  a.b.c = 2;\n  x = { b.c = 3; };\n  d = {\n    e = 1;\n  };\n  f = a == b;\n}\n";
        assert_eq!(line_of(text, &names("a.b.c")), Some(3));
        assert_eq!(line_of(text, &names("d.e")), Some(6));
        assert_eq!(line_of(text, &names("z.c")), None);
        assert_eq!(line_of(text, &names("a.z")), None);
    }
}
