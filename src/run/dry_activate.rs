//! What an activation would do that only says so.

use std::collections::VecDeque;

/// What `switch-to-configuration dry-activate` printed, in one line. It begins each thing that it would do with `would`, and names
/// the units behind a colon.
pub(super) fn would_do(output: &VecDeque<String>) -> String {
    let wish = |line: &String| {
        let (what, units) = line.strip_prefix("would ")?.split_once(": ")?;
        let what = what.trim_end_matches(" units").replacen(" the following", "", 1);
        Some(format!("{what} {units}"))
    };
    let wishes: Vec<_> = output.iter().filter_map(wish).collect();
    let would = if wishes.is_empty() { "touch no unit".to_owned() } else { wishes.join("; ") };
    format!("nothing on the host was changed; it would {would}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_done_is_told_in_one_line() {
        let said = |lines: &[&str]| would_do(&lines.iter().map(|line| (*line).to_owned()).collect());
        let lines = [
            "would stop the following units: a.service, b.service",
            "would NOT restart the following changed units: c.service",
            "would activate the configuration...",
            "would start the following units: a.service",
        ];
        assert_eq!(
            said(&lines),
            "nothing on the host was changed; it would stop a.service, b.service; NOT restart changed c.service; \
             start a.service"
        );
        assert_eq!(said(&lines[2..3]), "nothing on the host was changed; it would touch no unit");
    }
}
