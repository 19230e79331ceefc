//! The parts of the page.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::command::Told;
use crate::plan::Drift;
use crate::remote::Space;
use crate::report::units::{bytes, duration, local};
use crate::report::{Column, Outcome, Style, columns, html_escaped, mark};
use crate::state::{Deployment, HostRecord, Sighting};

/// How many deployments are told one by one.
const LISTED: usize = 50;

/// How many are drawn.
const DRAWN: usize = 60;

/// A field of a table: its class and its text, which is HTML.
type Field = (&'static str, String);

/// What is to be seen at a glance.
pub(super) fn tiles(told: &Told) -> String {
    let hosts = told.inventory.active().count();
    let of = |holds: fn(&Sighting) -> bool| told.seen.values().filter(|one| holds(one)).count();
    let failures = told.deployments.iter().filter(|one| one.exit != Some(0)).count();
    let tile = |number: usize, text: &str| format!("<li><b>{number}</b>{text}</li>\n");
    format!(
        "<ul class=\"tiles\">\n{}{}{}{}{}</ul>\n",
        tile(hosts, "active hosts"),
        tile(of(|one| one.drift == Some(Drift::None)), "in sync"),
        tile(of(|one| one.drift.is_some_and(|drift| drift != Drift::None)), "differ from the flake"),
        tile(of(|one| !one.reachable), "did not answer"),
        tile(failures, &format!("of {} deployments did not end well", told.deployments.len())),
    )
}

/// The hosts as they were last seen and deployed to.
pub(super) fn fleet(told: &Told) -> String {
    let header = ["Host", "State", "Seen", "Generation", "Failed units", "Store", "/boot", "Last deployment"];
    let rows: Vec<_> = told
        .inventory
        .iter()
        .map(|host| {
            let name = host.name.as_str();
            let seen = told.seen.get(name);
            let mut labels: Vec<_> =
                host.role.iter().cloned().chain(host.tags.iter().map(|tag| format!("@{tag}"))).collect();
            labels.extend(host.archived.then(|| "archived".to_owned()));
            let failed = seen.and_then(|one| one.failed_units);
            let class = if failed.is_some_and(|count| count > 0) { "fail" } else { "" };
            vec![
                (
                    "",
                    format!("{}<br><span class=\"dim\">{}</span>", html_escaped(name), html_escaped(&labels.join(" "))),
                ),
                state(seen),
                plain(seen.map(|one| local(one.asked))),
                plain(seen.and_then(|one| one.generation).map(|number| number.to_string())),
                (class, plain(failed.map(|count| count.to_string())).1),
                space("store", name, seen.and_then(|one| one.store)),
                space("/boot", name, seen.and_then(|one| one.boot)),
                last(told, name),
            ]
        })
        .collect();
    section("The fleet", "Each host as it was when it was asked last.", &header, &rows)
}

fn plain(text: Option<String>) -> Field {
    ("", text.map_or_else(|| "–".to_owned(), |text| html_escaped(&text)))
}

fn state(seen: Option<&Sighting>) -> Field {
    let Some(one) = seen else { return ("plain", "never seen".to_owned()) };
    let drift = one.drift.map_or("not compared", Drift::as_str);
    match one.drift {
        _ if !one.reachable => ("fail", format!("✗ did not answer<br><span class=\"dim\">before: {drift}</span>")),
        Some(Drift::None) => ("ok", format!("✓ {drift}")),
        Some(_) => ("warn", format!("! {drift}")),
        None => ("plain", drift.to_owned()),
    }
}

/// How full a file system is, in words and as a bar.
fn space(what: &str, host: &str, space: Option<Space>) -> Field {
    let Some(Space { total, free }) = space else { return plain(None) };
    let used = total.saturating_sub(free);
    let text = format!(
        "<meter min=\"0\" max=\"{total}\" high=\"{}\" optimum=\"0\" value=\"{used}\" aria-label=\"{what} of {}: {} of {} used\"></meter> \
         {} free",
        total / 10 * 9,
        html_escaped(host),
        bytes(used),
        bytes(total),
        bytes(free)
    );
    ("", text)
}

fn last(told: &Told, host: &str) -> Field {
    let found = told.deployments.iter().find_map(|one| Some((one, one.hosts.get(host)?)));
    let Some((one, record)) = found else { return plain(None) };
    let (class, text) = outcome(record);
    (
        class,
        format!(
            "{text}<br><span class=\"dim\">{} by {}</span>",
            html_escaped(&local(one.started)),
            html_escaped(&one.operator)
        ),
    )
}

fn outcome(record: &HostRecord) -> Field {
    match record.outcome {
        None => ("plain", "not ended".to_owned()),
        Some(outcome) => (class_of(outcome), format!("{} {outcome}", mark(outcome))),
    }
}

const fn class_of(outcome: Outcome) -> &'static str {
    match Style::of(outcome) {
        Style::Fail => "fail",
        Style::Warn => "warn",
        Style::Dim => "plain",
        _ => "ok",
    }
}

/// Deployments: by day, by how long they took, and one by one.
pub(super) fn deployments(told: &Told) -> String {
    let header = ["Deployment", "Begun", "By", "Revision", "Took", "Hosts"];
    let rows: Vec<_> = told
        .deployments
        .iter()
        .take(LISTED)
        .map(|one| {
            let exit = if one.exit == Some(0) { "ok" } else { "fail" };
            vec![
                ("", format!("{}<br><span class=\"dim\">{}</span>", html_escaped(&one.command), html_escaped(&one.id))),
                plain(Some(local(one.started))),
                plain(Some(one.operator.clone())),
                plain(
                    one.rev
                        .as_ref()
                        .map(|rev| rev.chars().take(10).collect())
                        .or_else(|| one.dirty.then(|| "dirty".to_owned())),
                ),
                plain(one.duration_ms().map(milliseconds)),
                (exit, ends(one)),
            ]
        })
        .collect();
    let days = by_day(&told.deployments);
    let by_day = figure("How hosts ended, by day", &days_in_words(&days), &days, &ENDS);
    let drawn = || told.deployments.iter().take(DRAWN);
    let longest = drawn().filter_map(Deployment::duration_ms).max().unwrap_or_default();
    let durations: Vec<_> = drawn().rev().map(duration_of).collect();
    let words = format!("The last {}, oldest first; the longest took {}.", durations.len(), milliseconds(longest));
    let durations = figure("How long deployments took", &words, &durations, &[]);
    let caption = format!("The last {} deployments, newest first.", rows.len());
    format!("{by_day}{durations}{}", section("Deployments", &caption, &header, &rows))
}

fn ends(one: &Deployment) -> String {
    let end = |(host, record): (&String, &HostRecord)| {
        let (class, text) = outcome(record);
        format!("<span class=\"{class}\">{}: {text}</span>", html_escaped(host))
    };
    one.hosts.iter().map(end).collect::<Vec<_>>().join("<br>")
}

fn milliseconds(ms: u64) -> String {
    duration(std::time::Duration::from_millis(ms))
}

fn duration_of(one: &Deployment) -> Column {
    let ms = one.duration_ms().unwrap_or_default();
    let label = format!("{} {}: {}", local(one.started), one.command, milliseconds(ms));
    Column { parts: vec![(ms, "bar")], label }
}

/// How hosts can have ended, as a chart has them from the bottom: the class and the word of each.
const ENDS: [(&str, &str); 4] = [("ok", "well"), ("plain", "unchanged"), ("warn", "to look at"), ("fail", "failed")];

fn by_day(deployments: &[Deployment]) -> Vec<Column> {
    let mut days = BTreeMap::<Date, BTreeMap<&'static str, u64>>::new();
    for one in deployments {
        let day = days.entry(one.started.to_zoned(TimeZone::system()).date()).or_default();
        for outcome in one.hosts.values().filter_map(|record| record.outcome) {
            *day.entry(class_of(outcome)).or_default() += 1;
        }
    }
    let newest = days.len().saturating_sub(DRAWN);
    let column = |(day, counts): (Date, BTreeMap<&'static str, u64>)| {
        let parts = ENDS.map(|(class, word)| (counts.get(class).copied().unwrap_or_default(), class, word));
        let words: Vec<_> =
            parts.iter().filter(|part| part.0 > 0).map(|(count, _, word)| format!("{count} {word}")).collect();
        let parts = parts.map(|(count, class, _)| (count, class)).to_vec();
        Column { parts, label: format!("{day}: {}", words.join(", ")) }
    };
    days.into_iter().skip(newest).map(column).collect()
}

/// What of a chart of days has no place in it: which days they are, and how much the highest column is.
fn days_in_words(days: &[Column]) -> String {
    let day = |column: &Column| column.label.split(':').next().unwrap_or_default().to_owned();
    let most: u64 = days.iter().map(|day| day.parts.iter().map(|part| part.0).sum()).max().unwrap_or_default();
    match days {
        [] => String::new(),
        [only] => format!("{most} of them, all on {}.", day(only)),
        [first, .., last] => format!("From {} to {}; {most} of them on the busiest day.", day(first), day(last)),
    }
}

/// How long the evaluations of each host took.
pub(super) fn evaluations(told: &Told) -> String {
    let header = ["Host", "Evaluations", "Last", "Longest", "Memory", "Oldest to newest"];
    let rows: Vec<_> = told
        .evaluations
        .iter()
        .filter_map(|(host, costs)| {
            let last = costs.last()?;
            let longest = costs.iter().map(|cost| cost.duration_ms).max().unwrap_or_default();
            let drawn: Vec<_> = costs
                .iter()
                .map(|cost| Column { parts: vec![(cost.duration_ms, "bar")], label: milliseconds(cost.duration_ms) })
                .collect();
            Some(vec![
                ("", html_escaped(host)),
                ("number", costs.len().to_string()),
                ("number", milliseconds(last.duration_ms)),
                ("number", milliseconds(longest)),
                ("number", plain(last.peak_kib.map(|kib| bytes(kib * 1024))).1),
                ("", columns(&format!("evaluation times of {host}"), &drawn)),
            ])
        })
        .collect();
    section("Evaluation", "What is kept of evaluations that were not spared.", &header, &rows)
}

/// A chart behind its words, which can be moved sideways where the screen is narrow. Where a column has several parts, `legend` says which
/// is which.
fn figure(title: &str, words: &str, drawn: &[Column], legend: &[(&str, &str)]) -> String {
    if drawn.is_empty() {
        return String::new();
    }
    let escaped = html_escaped(title);
    format!(
        "<h2>{escaped}</h2>\n<p>{}</p>\n<div class=\"wide\" role=\"group\" tabindex=\"0\" aria-label=\"{escaped}\">{}</div>\n{}",
        html_escaped(words),
        columns(title, drawn),
        legend_of(legend)
    )
}

/// What the colours of a chart mean.
fn legend_of(classes: &[(&str, &str)]) -> String {
    if classes.is_empty() {
        return String::new();
    }
    let entry = |(class, word): &(&str, &str)| format!("<li class=\"{class}\">{word}</li>\n");
    format!("<ul class=\"legend\" aria-label=\"Legend\">\n{}</ul>\n", classes.iter().map(entry).collect::<String>())
}

/// A table with its heading. On a narrow screen each row is a card, whose fields say what they are.
fn section(title: &str, caption: &str, header: &[&str], rows: &[Vec<Field>]) -> String {
    let title = html_escaped(title);
    if rows.is_empty() {
        return format!("<h2>{title}</h2>\n<p>Nothing is known yet.</p>\n");
    }
    let heads: Vec<_> = header.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let heads = heads.concat();
    let row = |fields: &Vec<Field>| {
        let field = |(at, (class, text)): (usize, &Field)| match at {
            0 => format!("<th scope=\"row\">{text}</th>"),
            _ => format!("<td class=\"{class}\" data-label=\"{}\">{text}</td>", header[at]),
        };
        format!("<tr>{}</tr>\n", fields.iter().enumerate().map(field).collect::<String>())
    };
    format!(
        "<h2>{title}</h2>\n<div class=\"wide\" role=\"group\" tabindex=\"0\" aria-label=\"{title}\">\n<table class=\"cards\">\n\
         <caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n",
        rows.iter().map(row).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_of_days_says_which_they_are() {
        let day = |label: &str, count| Column { parts: vec![(count, "ok"), (1, "fail")], label: label.to_owned() };
        let days = [day("2026-01-30: 3 well, 1 failed", 3), day("2026-01-31: 5 well, 1 failed", 5)];
        assert_eq!(days_in_words(&days), "From 2026-01-30 to 2026-01-31; 6 of them on the busiest day.");
        assert_eq!(days_in_words(&days[..1]), "4 of them, all on 2026-01-30.");
        assert_eq!(days_in_words(&[]), "");
    }
}
