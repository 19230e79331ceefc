//! Text made fit for a page of HTML, and charts as SVG in it.

use std::fmt::Write as _;

/// `text` with what HTML would take for its own escaped, for the text of an element and for a quoted attribute.
pub fn html_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // No page may have these, escaped or not.
            c if c.is_control() && !matches!(c, '\n' | '\t') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A column of a chart: its parts from the bottom up, and what a reader is told of it.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// How much each part is, with the class that gives it its colour.
    pub parts: Vec<(u64, &'static str)>,
    /// The column in words.
    pub label: String,
}

/// The height of a chart, in its own units.
const HEIGHT: u64 = 120;

/// The width of a column with the gap behind it.
const STEP: u64 = 14;

/// The width of a column.
const WIDTH: u64 = 10;

/// Columns side by side, the highest as high as the chart. `title` is what the chart shows, for those who do not see it.
pub fn columns(title: &str, columns: &[Column]) -> String {
    let sum = |column: &Column| column.parts.iter().map(|(value, _)| value).sum::<u64>();
    let most = columns.iter().map(sum).max().unwrap_or_default().max(1);
    let width = STEP * u64::try_from(columns.len().max(1)).unwrap_or(1);
    let mut svg = format!(
        "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         aria-label=\"{}\">",
        html_escaped(title)
    );
    for (at, column) in (0_u64..).zip(columns) {
        let _ = write!(svg, "<g><title>{}</title>", html_escaped(&column.label));
        let (x, mut below) = (at * STEP, 0);
        for (value, class) in &column.parts {
            // From the sums, so that roundings do not add up.
            let (bottom, top) = (scaled(below, most), scaled(below + value, most));
            below += value;
            // What is more than nothing can be seen.
            let height = (top - bottom).max(u64::from(*value > 0) * 2);
            if height > 0 {
                let y = HEIGHT.saturating_sub(bottom + height);
                let _ =
                    write!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{height}\"/>");
            }
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    svg
}

fn scaled(value: u64, most: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(HEIGHT) / u128::from(most)).unwrap_or(HEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_becomes_a_part_of_the_page() {
        assert_eq!(html_escaped("<a href='x'>\"&\u{1b}\n"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\n");
    }

    #[test]
    fn columns_are_as_high_as_their_values() {
        let column = |parts: &[(u64, &'static str)]| Column { parts: parts.to_vec(), label: "<x>".to_owned() };
        let svg = columns("a \"chart\"", &[column(&[(30, "ok"), (10, "fail")]), column(&[]), column(&[(20, "ok")])]);
        assert!(
            svg.contains("aria-label=\"a &quot;chart&quot;\"") && svg.contains("<title>&lt;x&gt;</title>"),
            "{svg}"
        );
        assert!(svg.contains("class=\"ok\" x=\"0\" y=\"30\" width=\"10\" height=\"90\""), "{svg}");
        assert!(svg.contains("class=\"fail\" x=\"0\" y=\"0\" width=\"10\" height=\"30\""), "{svg}");
        assert!(svg.contains("class=\"ok\" x=\"28\" y=\"60\" width=\"10\" height=\"60\""), "{svg}");
        assert!(columns("", &[]).ends_with("</svg>"));
    }
}
