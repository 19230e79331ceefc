//! Port ranges that leave little of a firewall.

use rnix::ast::{AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{attr, is_option, number, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// More ports than any program needs for itself.
const MANY: i64 = 10_000;

pub(super) const RULE: Rule = rule!("firewall-wide", Warning, Check::Named(&["allowedTCPPortRanges", "allowedUDPPortRanges"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    let Expr::List(list) = plain(entry.value()?) else { return None };
    let path = file.option_path(entry)?;
    let ranges = ["allowedTCPPortRanges", "allowedUDPPortRanges"];
    let is_it = |range: &&str| {
        is_option(&path, &format!("networking.firewall.{range}"))
            || is_option(&path, &format!("networking.firewall.interfaces.*.{range}"))
    };
    ranges.iter().find(|range| is_it(range))?;
    list.items().find_map(|item| {
        let Expr::AttrSet(range) = plain(item) else { return None };
        let (from, to) = (number(&attr(&range, "from")?)?, number(&attr(&range, "to")?)?);
        let open = to - from + 1;
        (open > MANY).then(|| Finding::at(range.syntax().text_range(), format!("{open} ports are open to everybody")))
    })
}
