//! Changes of `secrets.nix` that leave all else in it as it is, comments and layout included.

use std::ops::Range;

use rnix::ast::{AttrSet, AttrpathValue, Expr, HasEntry as _, LetIn};
use rnix::{Root, SyntaxKind};
use rowan::ast::AstNode as _;

/// Somebody who is to read a secret, as the rules would name them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Who {
    /// A name that the file binds to one key.
    One(String),
    /// A name that the file binds to several keys.
    Group(String),
    /// The key itself.
    Key(String),
}

/// The rules are written in a way that only their author can change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TooClever(pub &'static str);

type Result<T> = std::result::Result<T, TooClever>;

/// The names that the file binds, before its rules, to one key or to several.
pub fn names(text: &str) -> Vec<Who> {
    let mut found = Vec::new();
    for binding in lets(text).iter().flat_map(LetIn::attrpath_values) {
        let (Some(name), Some(value)) = (name_of(&binding), binding.value()) else { continue };
        match kind_of(&value, &found) {
            Some(true) => found.push(Who::Group(name)),
            Some(false) => found.push(Who::One(name)),
            None => {}
        }
    }
    found
}

/// Adds a rule behind the last one.
pub fn add(text: &str, name: &str, who: &[Who]) -> Result<String> {
    let rules = rules(text)?;
    let line = format!("{} = {};", attribute(name), expression(who));
    let last = rules.attrpath_values().last();
    let (at, inserted) = match last {
        Some(last) => {
            let range = range(last.syntax());
            let indent = &text[line_start(text, range.start)..range.start];
            let indent = if indent.trim().is_empty() { indent } else { "  " };
            // A comment behind the last rule stays with it.
            let end = text[range.end..].find('\n').map_or(range.end, |at| range.end + at);
            let rest = &text[range.end..end];
            let end = if rest.trim().is_empty() || rest.trim_start().starts_with('#') { end } else { range.end };
            (end, format!("\n{indent}{line}"))
        }
        None => (range(rules.syntax()).start + 1, format!("\n  {line}\n")),
    };
    Ok(format!("{}{inserted}{}", &text[..at], &text[at..]))
}

/// Takes a rule out, with its line and what is said of it there.
pub fn remove(text: &str, name: &str) -> Result<String> {
    let rules = rules(text)?;
    let is_it = |one: &AttrpathValue| {
        let first = one.attrpath().and_then(|path| path.attrs().next());
        first.is_some_and(|first| first.to_string().trim_matches('"') == name)
    };
    let found: Vec<_> = rules.attrpath_values().filter(is_it).collect();
    let [one] = found.as_slice() else { return Err(TooClever("the rule is not written out there once")) };
    let item = range(one.syntax());
    let line = text[item.end..].find('\n').map_or(text.len(), |at| item.end + at);
    let start = text[..item.start].trim_end().len();
    let is_alone = text[start..item.start].contains('\n');
    let rest = text[item.end..line].trim_start();
    let end = if is_alone && (rest.is_empty() || rest.starts_with('#')) { line } else { item.end };
    // Empty lines in front of it stay with what comes next.
    let start = if is_alone { text[..item.start].rfind('\n').unwrap_or(start) } else { start };
    Ok(format!("{}{}", &text[..start], &text[end..]))
}

/// Has the rule `name` name somebody more.
pub fn grant(text: &str, name: &str, who: &Who) -> Result<String> {
    let keys = keys_of(text, name)?;
    if let (Who::One(word) | Who::Key(word), Some(list)) = (who, lists(&keys).pop()) {
        let range = range(list.syntax());
        let inner = &text[range.start + 1..range.end - 1];
        let word = word_of(who, word);
        let inserted = match inner.rsplit_once('\n') {
            // One item to a line goes on like that.
            Some((before, last)) if last.trim().is_empty() => {
                let indent = before.rsplit('\n').find(|line| !line.trim().is_empty()).unwrap_or("    ");
                let indent = &indent[..indent.len() - indent.trim_start().len()];
                format!("{}\n{indent}{word}\n{last}", before.trim_end())
            }
            _ => format!("{} {word} ", inner.trim_end()),
        };
        return Ok(format!("{}[{inserted}]{}", &text[..range.start], &text[range.end..]));
    }
    let range = range(keys.syntax());
    let more = match who {
        Who::Group(group) => group.clone(),
        who => expression(std::slice::from_ref(who)),
    };
    let old = &text[range.clone()];
    let old = if is_plain(&keys) { old.to_owned() } else { format!("({old})") };
    Ok(format!("{}{old} ++ {more}{}", &text[..range.start], &text[range.end..]))
}

/// Takes somebody out of all lists of the file, those of groups included, or with `name` out of those of one rule.
pub fn revoke(text: &str, name: Option<&str>, who: &[Who]) -> Result<String> {
    let parsed = Root::parse(text);
    let top = match name {
        Some(name) => keys_of(text, name)?.syntax().clone(),
        None => parsed.tree().syntax().clone(),
    };
    let mut cuts: Vec<Range<usize>> = Vec::new();
    for list in top.descendants().filter_map(rnix::ast::List::cast) {
        for item in list.items().filter(|item| is_of(item, who)) {
            cuts.push(with_blank(text, range(item.syntax())));
        }
    }
    if cuts.is_empty() {
        return Err(TooClever("no list names that key itself"));
    }
    cuts.sort_by_key(|cut| std::cmp::Reverse(cut.start));
    let mut changed = text.to_owned();
    for cut in cuts {
        changed.replace_range(cut, "");
    }
    Ok(changed)
}

/// An item with the white space in front of it, and with its line where nothing else stands there.
fn with_blank(text: &str, item: Range<usize>) -> Range<usize> {
    let start = text[..item.start].trim_end().len();
    let line = text[item.end..].find('\n').map_or(text.len(), |at| item.end + at);
    let comment = text[item.end..line].trim_start().starts_with('#');
    let alone = text[start..item.start].contains('\n');
    // A comment behind an item on a line of its own is about that item.
    start..if comment && alone { line } else { item.end }
}

fn is_of(item: &Expr, who: &[Who]) -> bool {
    who.iter().any(|who| match (who, item) {
        (Who::One(name) | Who::Group(name), Expr::Ident(ident)) => ident.to_string() == *name,
        (Who::Key(key), Expr::Str(text)) => {
            let text = text.to_string();
            // A comment behind the key does not make it another.
            let words =
                |text: &str| text.trim_matches('"').split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
            words(&text) == words(key)
        }
        _ => false,
    })
}

/// The key that a name is bound to.
pub fn key_of(text: &str, name: &str) -> Option<String> {
    let mut bound = lets(text).into_iter().flat_map(|one| one.attrpath_values().collect::<Vec<_>>());
    let found = bound.find(|one| name_of(one).as_deref() == Some(name))?;
    match found.value()? {
        Expr::Str(text) => Some(text.to_string().trim_matches('"').to_owned()),
        _ => None,
    }
}

/// The names that are bound to this key.
pub fn names_of_key(text: &str, key: &str) -> Vec<Who> {
    let is = |value: &Expr| is_of(value, &[Who::Key(key.to_owned())]);
    let bound = lets(text).into_iter().flat_map(|one| one.attrpath_values().collect::<Vec<_>>());
    bound
        .filter(|one| one.value().is_some_and(|value| is(&value)))
        .filter_map(|one| name_of(&one))
        .map(Who::One)
        .collect()
}

/// The `let`s in front of the rules, outermost first.
pub(super) fn lets(text: &str) -> Vec<LetIn> {
    let mut found = Vec::new();
    let mut expr = Root::parse(text).tree().expr();
    while let Some(now) = expr {
        expr = inner(&now);
        if let Expr::LetIn(one) = now {
            found.push(one);
        }
    }
    found
}

fn inner(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::LetIn(one) => one.body(),
        Expr::With(one) => one.body(),
        Expr::Assert(one) => one.body(),
        Expr::Paren(one) => one.expr(),
        _ => None,
    }
}

/// The set of rules.
fn rules(text: &str) -> Result<AttrSet> {
    let parsed = Root::parse(text);
    let mut expr = parsed.tree().expr();
    while let Some(now) = expr {
        match now {
            Expr::AttrSet(set) => return Ok(set),
            other => expr = inner(&other),
        }
    }
    Err(TooClever("the rules are no plain set"))
}

/// What a rule says of its keys.
fn keys_of(text: &str, name: &str) -> Result<Expr> {
    let missing = || TooClever("the rule is not written out there");
    for one in rules(text)?.attrpath_values() {
        let path: Vec<_> =
            one.attrpath().into_iter().flat_map(|path| path.attrs()).map(|attr| attr.to_string()).collect();
        let words: Vec<_> = path.iter().map(|word| word.trim_matches('"')).collect();
        match (words.as_slice(), one.value()) {
            ([first, "publicKeys"], Some(value)) if *first == name => return Ok(value),
            ([first], Some(Expr::AttrSet(set))) if *first == name => {
                let mut inner = set.attrpath_values();
                let keys = inner.find(|one| name_of(one).as_deref() == Some("publicKeys"));
                return keys.and_then(|keys| keys.value()).ok_or_else(missing);
            }
            _ => {}
        }
    }
    Err(missing())
}

/// The lists that an expression joins, where it is nothing but lists and names joined.
fn lists(expr: &Expr) -> Vec<rnix::ast::List> {
    match expr {
        Expr::List(list) => vec![list.clone()],
        Expr::BinOp(join) if is_join(join) => join.lhs().iter().chain(join.rhs().iter()).flat_map(lists).collect(),
        Expr::Paren(inner) => inner.expr().iter().flat_map(lists).collect(),
        _ => Vec::new(),
    }
}

fn is_join(one: &rnix::ast::BinOp) -> bool {
    one.operator() == Some(rnix::ast::BinOpKind::Concat)
}

/// Whether something can be joined behind it as it stands.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::BinOp(join) => is_join(join),
        Expr::Ident(_) | Expr::List(_) | Expr::Paren(_) | Expr::Select(_) | Expr::Apply(_) => true,
        _ => false,
    }
}

/// Whether a value is several keys (or one); nothing where that cannot be seen.
fn kind_of(value: &Expr, known: &[Who]) -> Option<bool> {
    match value {
        Expr::Str(_) => Some(false),
        Expr::List(_) => Some(true),
        Expr::BinOp(join) if is_join(join) => Some(true),
        Expr::Paren(inner) => kind_of(&inner.expr()?, known),
        Expr::Ident(ident) => known.iter().find_map(|who| match who {
            Who::One(name) if *name == ident.to_string() => Some(false),
            Who::Group(name) if *name == ident.to_string() => Some(true),
            _ => None,
        }),
        _ => None,
    }
}

pub(super) fn name_of(one: &AttrpathValue) -> Option<String> {
    let path = one.attrpath()?;
    let mut attrs = path.attrs();
    let name = attrs.next()?;
    attrs.next().is_none().then(|| name.to_string())
}

fn attribute(name: &str) -> String {
    format!("{}.publicKeys", quoted(name))
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${"))
}

fn word_of(who: &Who, word: &str) -> String {
    if matches!(who, Who::Key(_)) { quoted(word) } else { word.to_owned() }
}

fn expression(who: &[Who]) -> String {
    let single: Vec<_> = who
        .iter()
        .filter_map(|one| match one {
            Who::One(word) | Who::Key(word) => Some(word_of(one, word)),
            Who::Group(_) => None,
        })
        .collect();
    let groups = who.iter().filter_map(|one| if let Who::Group(name) = one { Some(name.clone()) } else { None });
    let list = (!single.is_empty()).then(|| format!("[ {} ]", single.join(" ")));
    list.into_iter().chain(groups).collect::<Vec<_>>().join(" ++ ")
}

pub(super) fn range(node: &rnix::SyntaxNode) -> Range<usize> {
    debug_assert!(node.kind() != SyntaxKind::TOKEN_WHITESPACE);
    let range = node.text_range();
    range.start().into()..range.end().into()
}

pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"# Who is who.
let
  olaf = "ssh-ed25519 AAAA1 olaf"; # the admin
  p620 = "ssh-ed25519 AAAA2 root@p620";
  hosts = [
    p620 # the workstation
    p510
  ];
  p510 = "ssh-ed25519 AAAA3";
  all = [ olaf ] ++ hosts;
in
{
  # Why this one is for all.
  "a.age".publicKeys = all;
  "b.age".publicKeys = [ olaf p620 ]; # behind b
  "c.age" = {
    publicKeys = [
      olaf
    ];
    armor = true;
  }; # the last
}
"#;

    fn one(name: &str) -> Who {
        Who::One(name.to_owned())
    }

    #[test]
    fn names_are_told_from_groups() {
        let group = |name: &str| Who::Group(name.to_owned());
        assert_eq!(names(RULES), [one("olaf"), one("p620"), group("hosts"), one("p510"), group("all")]);
        assert_eq!(names_of_key(RULES, "ssh-ed25519 AAAA3 other comment"), [one("p510")]);
    }

    #[test]
    fn a_rule_is_added_behind_the_last() {
        let new = add(RULES, "d.age", &[one("olaf"), Who::Key("age1x".into()), Who::Group("hosts".into())]).unwrap();
        let expected = RULES
            .replace("  }; # the last\n", "  }; # the last\n  \"d.age\".publicKeys = [ olaf \"age1x\" ] ++ hosts;\n");
        assert_eq!(new, expected);
        assert_eq!(add("{ }", "a\"${b}", &[one("x")]).unwrap(), "{\n  \"a\\\"\\${b}\".publicKeys = [ x ];\n }");
        assert!(add("import ./x.nix", "a", &[one("x")]).is_err());
    }

    #[test]
    fn a_rule_is_removed_with_its_line() {
        let b = "\n  \"b.age\".publicKeys = [ olaf p620 ]; # behind b";
        assert_eq!(remove(RULES, "b.age").unwrap(), RULES.replace(b, ""));
        let (before, _) = RULES.split_once("\n  \"c.age\"").unwrap();
        assert_eq!(remove(RULES, "c.age").unwrap(), format!("{before}\n}}\n"));
        assert_eq!(remove("{ a.publicKeys = x; b.publicKeys = y; }", "a").unwrap(), "{ b.publicKeys = y; }");
        assert!(remove(RULES, "d.age").is_err());
    }

    #[test]
    fn somebody_is_granted_a_secret_in_the_style_that_is_there() {
        let grant = |name: &str, who: &Who| grant(RULES, name, who).unwrap();
        assert_eq!(grant("a.age", &one("p510")), RULES.replace("= all;", "= all ++ [ p510 ];"));
        assert_eq!(grant("b.age", &one("p510")), RULES.replace("[ olaf p620 ];", "[ olaf p620 p510 ];"));
        assert_eq!(grant("c.age", &one("p510")), RULES.replace("      olaf\n", "      olaf\n      p510\n"));
        let group = grant("b.age", &Who::Group("hosts".into()));
        assert_eq!(group, RULES.replace("[ olaf p620 ];", "[ olaf p620 ] ++ hosts;"));
        assert!(super::grant(RULES, "nothing.age", &one("p510")).is_err());
    }

    #[test]
    fn somebody_is_revoked_with_what_was_said_of_them() {
        let all = revoke(RULES, None, &[one("p620")]).unwrap();
        let expected = RULES.replace("\n    p620 # the workstation", "").replace("[ olaf p620 ]", "[ olaf ]");
        assert_eq!(all, expected);
        assert_eq!(revoke(RULES, Some("b.age"), &[one("p620")]).unwrap(), RULES.replace("[ olaf p620 ]", "[ olaf ]"));
        assert!(revoke(RULES, Some("a.age"), &[one("p620")]).is_err());
    }
}
