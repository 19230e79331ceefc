//! The `sops` block as each format writes it.

use zeroize::Zeroizing;

use super::metadata::Wrapped;
use super::tree::{Container, Edits, Field, Node, entries};
use super::yaml::dash;
use super::yaml_write::setting;

/// Settings that are not texts.
fn bare(name: &str, text: &str) -> String {
    if name == "mac_only_encrypted" { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A new block of YAML, as SOPS indents it.
pub(super) fn yaml_block(recipients: &[Wrapped], settings: &[(String, String)]) -> String {
    let list = yaml_items(8, 10, true, recipients);
    let settings = settings.iter().map(|(name, text)| {
        let text = if name == "mac_only_encrypted" { text.clone() } else { setting(text).to_string() };
        format!("    {name}: {text}\n")
    });
    format!("sops:\n    age:\n        {list}\n{}", settings.collect::<String>())
}

/// The elements of a list of recipients, without the indentation of the first and the end of the last line.
fn yaml_items(dash: usize, key: usize, recipient_first: bool, recipients: &[Wrapped]) -> String {
    let (indent, inner) = (" ".repeat(key), " ".repeat(key + 2));
    let gap = " ".repeat(key - dash - 1);
    let item = |one: &Wrapped| {
        let name = format!("recipient: {}", one.recipient);
        let lines: Vec<_> = one.enc.trim_end().lines().map(|line| format!("{inner}{line}")).collect();
        let enc = format!("enc: |\n{}", lines.join("\n"));
        let (first, second) = if recipient_first { (name, enc) } else { (enc, name) };
        format!("-{gap}{first}\n{indent}{second}")
    };
    recipients.iter().map(item).collect::<Vec<_>>().join(&format!("\n{}", " ".repeat(dash)))
}

/// The list of recipients in the style of the list that is there.
pub(super) fn yaml_recipients(text: &str, list: &Container, recipients: &[Wrapped]) -> String {
    let column = |at: usize| at - text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let first = entries(&list.items).next();
    let key = first.map_or(list.span.start, |entry| entry.start);
    let recipient_first = first.is_none_or(|entry| match &entry.node {
        Node::Map(map) => entries(&map.items).next().is_none_or(|first| first.key.as_deref() == Some("recipient")),
        _ => true,
    });
    yaml_items(column(dash(text, key)), column(key), recipient_first, recipients)
}

/// The list of recipients as JSON, indented as the list that is there.
pub(super) fn json_recipients(text: &str, list: &Container, recipients: &[Wrapped]) -> String {
    let line = text[..list.span.start].rfind('\n').map(|newline| newline + 1);
    let Some(line) = line else { return json_list(recipients, "", "", "") };
    let indent = &text[line..list.span.start];
    let indent = &indent[..indent.len() - indent.trim_start().len()];
    // The list is two levels deep.
    json_list(recipients, "\n", indent, &indent[..indent.len() / 2])
}

fn json_list(recipients: &[Wrapped], newline: &str, indent: &str, unit: &str) -> String {
    let space = if newline.is_empty() { "" } else { " " };
    let items = recipients.iter().map(|one| {
        let deeper = format!("{newline}{indent}{unit}");
        format!(
            "{deeper}{{{deeper}{unit}\"recipient\":{space}{},{deeper}{unit}\"enc\":{space}{}{deeper}}}",
            quoted(&one.recipient),
            quoted(&one.enc)
        )
    });
    format!("[{}{newline}{indent}]", items.collect::<Vec<_>>().join(","))
}

/// A new member `sops` for the object that `body` is.
pub(super) fn json_block(body: &str, recipients: &[Wrapped], settings: &[(String, String)]) -> String {
    let unit: String = body
        .lines()
        .nth(1)
        .map_or_else(String::new, |line| line.chars().take_while(|letter| matches!(letter, ' ' | '\t')).collect());
    let unit = if unit.is_empty() { "\t".to_owned() } else { unit };
    let list = json_list(recipients, "\n", &unit.repeat(2), &unit);
    let settings = settings.iter().map(|(name, text)| format!(",\n{unit}{unit}\"{name}\": {}", bare(name, text)));
    format!("\n{unit}\"sops\": {{\n{unit}{unit}\"age\": {list}{}\n{unit}}}", settings.collect::<String>())
}

fn flat_lines(prefix: &str, sign: &str, recipients: &[Wrapped]) -> String {
    let line = |(index, one): (usize, &Wrapped)| {
        let enc = one.enc.replace('\n', "\\n");
        let name = format!("{prefix}age__list_{index}__map_");
        format!("{name}enc{sign}{enc}\n{name}recipient{sign}{}\n", one.recipient)
    };
    recipients.iter().enumerate().map(line).collect()
}

/// A new block of lines.
pub(super) fn flat_block(prefix: &str, sign: &str, recipients: &[Wrapped], settings: &[(String, String)]) -> String {
    let settings = settings.iter().map(|(name, text)| format!("{prefix}{name}{sign}{text}\n"));
    flat_lines(prefix, sign, recipients) + &settings.collect::<String>()
}

/// Other lines for the recipients, in the place of the first; none when there is none.
pub(super) fn flat_recipients(
    text: &str,
    fields: &[Field],
    prefix: &str,
    sign: &str,
    recipients: &[Wrapped],
) -> Option<Edits> {
    let line = |field: &Field| {
        let start = text[..field.span.start].rfind('\n').map_or(0, |newline| newline + 1);
        start..text[field.span.end..].find('\n').map_or(text.len(), |newline| field.span.end + newline + 1)
    };
    let mut edits: Vec<_> = fields
        .iter()
        .filter(|field| field.name.starts_with("age__list_"))
        .map(|field| (line(field), Zeroizing::default()))
        .collect();
    edits.first_mut()?.1 = Zeroizing::new(flat_lines(prefix, sign, recipients));
    Some(edits)
}
