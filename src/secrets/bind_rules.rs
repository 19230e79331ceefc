//! Names for keys in `secrets.nix`: bound where others are, with all else in the file as it is.

use rnix::Root;
use rnix::ast::{Expr, HasEntry as _};
use rowan::ast::AstNode as _;

use super::edit_rules::{TooClever, lets, line_start, name_of, quoted, range};

/// The name of Nix that a host's name becomes.
pub fn identifier(host: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || "_-'".contains(letter) { letter } else { '-' };
    let name: String = host.chars().map(letter).collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') { name } else { format!("_{name}") }
}

/// Binds a name to a key: anew where the name has another one, and otherwise behind the last name that is bound to a key.
pub fn bind(text: &str, name: &str, key: &str) -> Result<String, TooClever> {
    let lets = lets(text);
    let bindings: Vec<_> = lets.iter().flat_map(rnix::ast::LetIn::attrpath_values).collect();
    if let Some(there) = bindings.iter().find(|one| name_of(one).as_deref() == Some(name)) {
        let Some(Expr::Str(old)) = there.value() else {
            return Err(TooClever("the host's name is bound to something else than a key"));
        };
        let old = range(old.syntax());
        return Ok(format!("{}{}{}", &text[..old.start], quoted(key), &text[old.end..]));
    }
    let line = format!("{name} = {};", quoted(key));
    let is_key = |one: &&rnix::ast::AttrpathValue| matches!(one.value(), Some(Expr::Str(_)));
    let Some(last) = bindings.iter().rfind(is_key).or(bindings.last()) else {
        let Some(rules) = Root::parse(text).tree().expr() else { return Err(TooClever("the file is empty")) };
        let start = range(rules.syntax()).start;
        return Ok(format!("{}let\n  {line}\nin\n{}", &text[..start], &text[start..]));
    };
    let last = range(last.syntax());
    let indent = &text[line_start(text, last.start)..last.start];
    let indent = if indent.trim().is_empty() { indent } else { "  " };
    // A comment behind it stays with it.
    let end = text[last.end..].find('\n').map_or(text.len(), |at| last.end + at);
    let rest = text[last.end..end].trim();
    let end = if rest.is_empty() || rest.starts_with('#') { end } else { last.end };
    Ok(format!("{}\n{indent}{line}{}", &text[..end], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "# Keys.\nlet\n  olaf = \"ssh-ed25519 A olaf\"; # the admin\n  all = [ olaf ];\nin\n{\n  \"a.age\".publicKeys = all;\n}\n";

    #[test]
    fn a_name_is_bound_where_others_are() {
        let bound = bind(RULES, "p620", "ssh-ed25519 B root@p620").unwrap();
        assert_eq!(bound, RULES.replace("# the admin\n", "# the admin\n  p620 = \"ssh-ed25519 B root@p620\";\n"));
        let anew = bind(&bound, "p620", "ssh-ed25519 C").unwrap();
        assert_eq!(anew, bound.replace("ssh-ed25519 B root@p620", "ssh-ed25519 C"));
        assert!(bind(RULES, "all", "ssh-ed25519 C").is_err());
        assert_eq!(bind("let a = 1; b = 2; in { }", "p620", "k").unwrap(), "let a = 1; b = 2;\n  p620 = \"k\"; in { }");
        assert_eq!(bind("# none\n{ }\n", "p620", "k").unwrap(), "# none\nlet\n  p620 = \"k\";\nin\n{ }\n");
        assert!(bind("", "p620", "k").is_err());
    }

    #[test]
    fn a_host_has_a_name_that_nix_takes() {
        assert_eq!(["p620", "web-1", "db.lan", "7up"].map(identifier), ["p620", "web-1", "db-lan", "_7up"]);
    }
}
