//! `hubctl lint`.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::config::Config;
use super::findings::{Form, aside, files_of, tell};
use super::hub::Hub;
use super::options::levels_of;
use crate::error::{Error, Exit, Kind, Result, nearest};
use crate::lint::{
    BASELINE, Baseline, BaselineError, Cache, Fixing, Level, Levels, RULES, Report, Rule, Scope, fix, lint_cached, rule,
};
use crate::nix::{FlakeRef, changed_texts};
use crate::report::{Cell, Output, Style, Table};
use crate::state::StateDirs;

/// Looks for what works and should not stay so in the Nix files of the flake; evaluates nothing.
///
/// What is looked at is what Nix sees: files that git knows, as they are in the work tree. What check-syntax finds is told too. Exits
/// with 1 if there is an error or a warning. What files say of each other is looked at where no PATH is given. `[lint]` in hub.toml sets severities, and a comment `# hubctl: allow RULE: reason` allows
/// what a rule finds.
#[derive(Args, Debug)]
pub(super) struct LintArgs {
    /// Only these files, and those below these directories.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Tells it to another program: annotations of GitHub's actions, SARIF, or a report of tests.
    #[arg(long, value_name = "FORM", conflicts_with = "json")]
    form: Option<Form>,

    /// Mends what can be mended, and tells the rest. `--fix=unsafe` makes edits too after which a file may mean something else.
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "safe")]
    fix: Option<Which>,

    /// What to do with lint-baseline.json, the findings that are known: `write` makes all known that are there now, `off` tells them
    /// again.
    #[arg(long, value_name = "WHAT", conflicts_with = "fix")]
    baseline: Option<Known>,

    /// Looks for what these rules find alone, with commas between them, and exits with 1 for a note too.
    #[arg(long, value_name = "RULES", value_delimiter = ',', conflicts_with = "baseline")]
    only: Vec<String>,

    /// Shows the page of a rule: why it is there, what is wrong and what is right.
    #[arg(long, value_name = "RULE", conflicts_with_all = ["paths", "fix", "baseline", "form", "only"])]
    explain: Option<String>,

    /// Lists the rules.
    #[arg(long, conflicts_with_all = ["paths", "fix", "baseline", "form", "only", "explain"])]
    rules: bool,
}

/// What is compared with the last commit: lines with this word.
pub(super) const STATE_VERSION: &str = "stateVersion";

/// Which edits are made.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// Those after which a file means the same.
    Safe,
    /// Others too.
    Unsafe,
}

/// What becomes of the findings that are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Known {
    /// All that there are now become known.
    Write,
    /// They are told.
    Off,
}

pub(super) async fn run(hub: &Hub, args: LintArgs) -> Result<Exit> {
    if let Some(name) = &args.explain {
        return explain(hub, name);
    }
    let config = Config::of(&hub.flake()?)?;
    let mut levels = levels_of(hub, &config);
    if args.rules {
        return list(hub, &levels);
    }
    for name in &args.only {
        known_rule(name)?;
    }
    if !args.only.is_empty() {
        levels = levels.only(&args.only);
    }
    let begun = Instant::now();
    let flake = hub.flake()?;
    let (listed, cache) = tokio::join!(files_of(hub, &config, &args.paths), cache_of(hub, &flake, &levels));
    let (root, files) = listed?;
    if let Some(which) = args.fix {
        mend(hub, &root, &files, &levels, which).await?;
    }
    let scope = if args.paths.is_empty() { Scope::All } else { Scope::Some };
    // What a few rules see is not what is kept.
    let cache = if args.only.is_empty() { cache? } else { Cache::none() };
    let mut report = look(hub, &flake, (files, scope), levels, cache).await?;
    match args.baseline {
        Some(Known::Write) => return remember(hub, &root, &report, &args.paths),
        Some(Known::Off) => {}
        None => leave_out_known(hub, &root, &mut report, args.paths.is_empty() && args.only.is_empty())?,
    }
    let exit = tell(hub, &report, args.form, begun)?;
    // Who asks for a rule wants to know.
    Ok(if args.only.is_empty() || report.found.is_empty() { exit } else { Exit::Failed })
}

/// What is known of the flake's files.
pub(super) async fn cache_of(hub: &Hub, flake: &FlakeRef, levels: &Levels) -> Result<Cache> {
    let place = StateDirs::of_user().ok().zip(flake.root().map(Path::to_path_buf));
    let Some((dirs, root)) = place.filter(|_| !hub.global.no_cache) else { return Ok(Cache::none()) };
    let levels = levels.clone();
    aside(hub, move || Ok(Cache::open(&dirs.lint(), &root, &levels))).await
}

/// Looks at files of the flake, while git tells what they were in the last commit.
pub(super) async fn look(
    hub: &Hub,
    flake: &FlakeRef,
    (files, scope): (Vec<PathBuf>, Scope),
    levels: Levels,
    cache: Cache,
) -> Result<Report> {
    let (tell, told) = mpsc::channel();
    let ask = async {
        // Nobody listens where looking failed.
        let _ = tell.send(changed_texts(flake, STATE_VERSION, &hub.cancel).await);
    };
    let root = flake.root().map(Path::to_path_buf).unwrap_or_default();
    let before = move || told.recv().unwrap_or_default();
    let looking = aside(hub, move || lint_cached(&root, &files, scope, &levels, before, cache));
    tokio::join!(looking, ask).0
}

async fn mend(hub: &Hub, root: &Path, files: &[PathBuf], levels: &Levels, which: Which) -> Result<()> {
    let fixing = match which {
        Which::Safe => Fixing::Safe,
        Which::Unsafe => Fixing::Unsafe,
    };
    let (root, files, levels) = (root.to_path_buf(), files.to_vec(), levels.clone());
    for (path, count) in aside(hub, move || fix(&root, &files, &levels, fixing)).await? {
        hub.ui.status(&format!("{}: {count} edit{}", path.display(), if count == 1 { "" } else { "s" }));
    }
    Ok(())
}

fn remember(hub: &Hub, root: &Path, report: &Report, paths: &[PathBuf]) -> Result<Exit> {
    if !paths.is_empty() {
        return Err(Error::message(Kind::Usage, "a baseline is made of all files; leave the paths out"));
    }
    let baseline = Baseline::of(report);
    baseline.write(root).map_err(|error| unusable(&error))?;
    let count = baseline.len();
    hub.ui.status(&format!("{count} finding{} are known from now on: {BASELINE}", if count == 1 { "" } else { "s" }));
    Ok(Exit::Success)
}

/// Takes out what is known. Only a look at all files tells that something known is gone.
pub(super) fn leave_out_known(hub: &Hub, root: &Path, report: &mut Report, is_all: bool) -> Result<()> {
    let Some(mut baseline) = Baseline::read(root).map_err(|error| unusable(&error))? else { return Ok(()) };
    let known = baseline.take_out_of(report);
    if known > 0 {
        hub.ui.status(&format!("{known} more in {BASELINE}"));
    }
    if is_all && !baseline.is_empty() {
        let hint = "`hubctl lint --baseline write` takes them out of the file";
        hub.ui.warning(&format!("{} findings of {BASELINE} are mended", baseline.len()), Some(hint));
    }
    Ok(())
}

fn unusable(error: &BaselineError) -> Error {
    Error::message(Kind::Config, error)
        .hint("`hubctl lint --baseline write` makes it anew, `--baseline off` does without")
}

/// The rule of that name.
fn known_rule(name: &str) -> Result<&'static Rule> {
    rule(name).ok_or_else(|| {
        let error = Error::message(Kind::Usage, format!("there is no rule `{name}`"));
        match nearest(name, RULES.iter().map(|rule| rule.name)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`hubctl lint --rules` lists them"),
        }
    })
}

fn explain(hub: &Hub, name: &str) -> Result<Exit> {
    let rule = known_rule(name)?;
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&json!({ "name": rule.name, "severity": rule.severity, "page": rule.page }))
    } else {
        hub.ui.data(rule.page)
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

fn list(hub: &Hub, levels: &Levels) -> Result<Exit> {
    let word = |level| match level {
        Level::Off => "off",
        Level::At(severity) => severity.as_str(),
    };
    let written = if hub.ui.output() == Output::Json {
        let rules = RULES.iter();
        let told = rules
            .map(|rule| json!({ "name": rule.name, "severity": word(levels.of(rule)), "summary": rule.summary() }));
        hub.ui.data_json(&told.collect::<Vec<_>>())
    } else {
        let mut table = Table::with_header(["RULE", "SEVERITY", "WHAT IT FINDS"]);
        for rule in RULES {
            table.row([Cell::styled(Style::Bold, rule.name), word(levels.of(rule)).into(), rule.summary().into()]);
        }
        hub.ui.table(&table)
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}
