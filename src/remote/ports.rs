//! The ports that a firewall of NixOS lets through, read from the rules that it is made from.

use std::collections::BTreeSet;

/// The ports that these lines open to everybody, such as `22/tcp`, `8000-8010/tcp` or `53/udp on eth0`. A rule with further conditions
/// opens none to everybody.
pub(super) fn open_ports(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().flat_map(|rule| of_iptables(rule).or_else(|| of_nftables(rule)).unwrap_or_default()).collect()
}

/// Reads a line of the start script of NixOS's firewall with iptables.
fn of_iptables(rule: &str) -> Option<Vec<String>> {
    let words: Vec<_> = rule.split_whitespace().collect();
    let after = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1).copied()
    };
    let port = after("--dport")?;
    let opens = after("-j").is_some_and(|chain| chain.ends_with("-accept") || chain == "ACCEPT");
    let is_for_all = ["-s", "-d", "!", "--source", "--destination"].iter().all(|flag| !words.contains(flag));
    let protocol = after("-p")?;
    let open = opens && words.contains(&"-A") && is_for_all;
    Some(if open { vec![shown(&port.replace(':', "-"), protocol, after("-i"))] } else { Vec::new() })
}

/// Reads a line of NixOS's rules for nftables, such as `iifname "eth0" tcp dport { 22, 80 } accept`.
fn of_nftables(rule: &str) -> Option<Vec<String>> {
    let (before, after) = rule.split_once(" dport ")?;
    let protocol = before.split_whitespace().next_back()?;
    let rest = before.trim().strip_suffix(protocol)?.trim();
    let interface = match rest.strip_prefix("iifname ") {
        Some(name) => Some(name.trim().trim_matches('"')),
        None if rest.is_empty() => None,
        None => return Some(Vec::new()),
    };
    let (ports, then) = match after.trim().strip_prefix('{') {
        Some(set) => set.split_once('}')?,
        None => after.trim().split_once(' ')?,
    };
    if then.split_whitespace().next() != Some("accept") {
        return Some(Vec::new());
    }
    Some(ports.split(',').map(|port| shown(port.trim(), protocol, interface)).collect())
}

fn shown(port: &str, protocol: &str, interface: Option<&str>) -> String {
    let on = interface.map(|name| format!(" on {name}")).unwrap_or_default();
    format!("{port}/{protocol}{on}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(rule: &str) -> Vec<String> {
        open_ports(&[rule]).into_iter().collect()
    }

    #[test]
    fn rules_of_both_kinds_are_read() {
        for (rule, open) in [
            ("ip46tables -A nixos-fw -p tcp --dport 22 -j nixos-fw-accept ", &["22/tcp"][..]),
            (
                "  ip46tables -A nixos-fw -p udp --dport 60000:61000 -j nixos-fw-accept -i wg0",
                &["60000-61000/udp on wg0"],
            ),
            ("ip6tables -A nixos-fw -d fe80::/64 -p udp --dport 546 -j nixos-fw-accept", &[]),
            ("ip46tables -A nixos-fw -p tcp --dport 22 -j nixos-fw-refuse", &[]),
            ("iptables -D INPUT -p tcp --dport 22 -j ACCEPT", &[]),
            ("    tcp dport { 22, 8000-8010 } accept", &["22/tcp", "8000-8010/tcp"]),
            ("iifname \"lan\" udp dport { 53 } accept comment \"dns\"", &["53/udp on lan"]),
            ("tcp dport 443 accept", &["443/tcp"]),
            ("ip saddr 10.0.0.0/8 tcp dport { 80 } accept", &[]),
            ("tcp dport { 25 } drop", &[]),
            ("dport", &[]),
        ] {
            assert_eq!(ports(rule), open, "{rule}");
        }
    }
}
