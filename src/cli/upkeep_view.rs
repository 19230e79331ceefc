//! What making room would do and did, for a person and as data.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::hub::Hub;
use super::upkeep::{Ended, Part};
use crate::error::{Error, Kind, Result};
use crate::plan::{Fate, KeptFor};
use crate::remote::{Garbage, Space};
use crate::report::units::{bytes, count, local};
use crate::report::{Cell, Output, Style, Table};
use crate::run::{Made, Survey};

/// Shows what would go, and of hosts where that is not known, why.
pub(super) fn show_survey(hub: &Hub, parts: &[Part], ended: &[Ended], links: &[PathBuf], whole: bool) -> Result<()> {
    let out = |error| Error::new(Kind::Failed, error);
    for one in ended {
        if let Err(stop) = &one.made {
            let hint = stop.failed.as_ref().and_then(|failed| failed.hints.first());
            hub.ui.warning(&format!("{}: {}", one.host, stop.message()), hint.map(String::as_str));
        }
    }
    let mut table = Table::with_header(["HOST", "GENERATIONS", "FREES ABOUT", "STORE FREE", "/BOOT FREE"]).right(2);
    for part in parts {
        let survey = &part.survey;
        table.row([
            Cell::styled(Style::Host, part.host.name.to_string()),
            generations(survey).into(),
            survey.garbage.map(frees).unwrap_or_default().into(),
            survey.store.map(free).unwrap_or_default().into(),
            survey.boot.map(free).unwrap_or_default().into(),
        ]);
    }
    if !parts.is_empty() {
        hub.ui.table(&table).map_err(out)?;
    }
    if whole && parts.iter().any(|part| !part.survey.fates.is_empty()) {
        hub.ui.data("\n").and_then(|()| hub.ui.table(&fates(parts))).map_err(out)?;
    }
    for link in links {
        hub.ui.data(&format!("{} goes", link.display())).map_err(out)?;
    }
    Ok(())
}

fn generations(survey: &Survey) -> String {
    let going = survey.going();
    let kept = survey.fates.len() - going.len();
    match (survey.fates.is_empty(), going.is_empty()) {
        (true, _) => "all stay".to_owned(),
        (false, true) => format!("{kept} stay"),
        (false, false) => format!("{kept} stay, {} go: {}", going.len(), ranges(&going)),
    }
}

/// Numbers in order, with those that follow each other as one range.
fn ranges(numbers: &[u64]) -> String {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => found.push((*number, *number)),
        }
    }
    let shown = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    found.iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn frees(garbage: Garbage) -> String {
    format!("{} in {} paths", bytes(garbage.bytes), count(garbage.paths))
}

fn free(space: Space) -> String {
    format!("{} of {}", bytes(space.free), bytes(space.total))
}

fn fates(parts: &[Part]) -> Table {
    let mut table = Table::with_header(["HOST", "GENERATION", "MADE", "SYSTEM", "STAYS FOR"]).right(1);
    for (part, fate) in parts.iter().flat_map(|part| part.survey.fates.iter().map(move |fate| (part, fate))) {
        let reasons: Vec<_> = fate.kept_for.iter().copied().map(KeptFor::as_str).collect();
        let stays = if fate.may_go() { Cell::styled(Style::Warn, "it goes") } else { reasons.join(", ").into() };
        table.row([
            Cell::styled(Style::Host, part.host.name.to_string()),
            fate.generation.number.to_string().into(),
            fate.generation.created.map_or_else(|| "-".to_owned(), local).into(),
            fate.generation.toplevel.short_hash().into(),
            stays,
        ]);
    }
    table
}

/// Shows what was done: one JSON document, or a row for each host on which something was done or went wrong.
pub(super) fn show_end(hub: &Hub, ended: &[Ended], links: &[PathBuf]) -> Result<()> {
    let out = |error| Error::new(Kind::Failed, error);
    if hub.ui.output() == Output::Json {
        let hosts: Vec<_> = ended.iter().map(document).collect();
        return hub.ui.data_json(&json!({ "hosts": hosts, "links": links })).map_err(out);
    }
    let mut table = Table::with_header(["HOST", "DONE", "STORE FREE", "/BOOT FREE", "NIX SAYS"]);
    let mut is_done = false;
    for one in ended {
        let name = Cell::styled(Style::Host, one.host.to_string());
        match &one.made {
            Ok(None) => continue,
            Ok(Some(made)) => {
                let was = |of: fn(&Survey) -> Option<Space>| one.survey.as_ref().and_then(of);
                table.row([
                    name,
                    removed(made).into(),
                    change(was(|survey| survey.store), made.store).into(),
                    change(was(|survey| survey.boot), made.boot).into(),
                    made.said.join("; ").into(),
                ]);
            }
            // Where nothing was known of it either, it was told with the survey.
            Err(_) if one.survey.is_none() => continue,
            Err(stop) => table.row([name, Cell::styled(Style::Fail, stop.message())]),
        }
        is_done = true;
    }
    if is_done { hub.ui.data("\n").and_then(|()| hub.ui.table(&table)).map_err(out) } else { Ok(()) }
}

fn removed(made: &Made) -> String {
    match made.removed.as_slice() {
        [] => "done".to_owned(),
        numbers => format!("generations {} are gone", ranges(numbers)),
    }
}

fn change(before: Option<Space>, after: Option<Space>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{} → {}", bytes(before.free), bytes(after.free)),
        (_, after) => after.map(free).unwrap_or_default(),
    }
}

fn document(one: &Ended) -> Value {
    let survey = one.survey.as_ref();
    let made = one.made.as_ref().ok().and_then(Option::as_ref);
    json!({
        "host": one.host,
        "generations": survey.map(|survey| survey.fates.iter().map(generation).collect::<Vec<_>>()),
        "would-free": survey.and_then(|survey| survey.garbage),
        "removed": made.map(|made| &made.removed),
        "said": made.map(|made| &made.said),
        "store": { "before": survey.and_then(|survey| survey.store), "after": made.and_then(|made| made.store) },
        "boot": { "before": survey.and_then(|survey| survey.boot), "after": made.and_then(|made| made.boot) },
        "error": one.made.as_ref().err().map(crate::run::Stop::message),
    })
}

fn generation(fate: &Fate) -> Value {
    let Fate { generation, kept_for } = fate;
    json!({
        "generation": generation.number, "created": generation.created, "toplevel": generation.toplevel,
        "kept-for": kept_for,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[1, 2, 3, 5, 8, 9]), "1-3 5 8-9");
        assert_eq!(ranges(&[]), "");
    }
}
