//! Numbers drawn with the characters of a terminal.

/// A bar's parts of one column, an eighth of it each, from the left.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The heights of a sparkline.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar for `value`, where `most` takes `width` columns. What is more than nothing can be seen.
pub fn bar(value: u64, most: u64, width: usize) -> String {
    let columns = u128::try_from(width).unwrap_or_default();
    let (value, most) = (u128::from(value.min(most)), u128::from(most.max(1)));
    let eighths = (value * columns * 8 + most / 2) / most;
    let eighths = usize::try_from(eighths).unwrap_or_default().max(usize::from(value > 0 && width > 0));
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// A line of one character for each value, the higher the more, where the most of them is as high as it gets.
pub fn sparkline(values: &[u64]) -> String {
    let most = u128::from(values.iter().copied().max().unwrap_or_default().max(1));
    let height = |value: &u64| HEIGHTS[usize::try_from(u128::from(*value) * 7 / most).unwrap_or_default().min(7)];
    values.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        assert_eq!(["", "▏", "███▊", "█████", "██████████"], [0, 1, 38, 50, 100].map(|value| bar(value, 100, 10)));
        assert_eq!(bar(7, 0, 10), "");
        assert_eq!(sparkline(&[0, 50, 100]), "▁▄█");
        assert_eq!(sparkline(&[]), "");
    }

    proptest! {
        #[test]
        fn a_bar_fits_and_never_shrinks_with_its_value(a: u64, b: u64, most: u64, width in 0_usize..200) {
            let of = |value| bar(value, most, width).chars().count();
            prop_assert!(of(a) <= width);
            prop_assert!(of(a.min(b)) <= of(a.max(b)));
            prop_assert!(width == 0 || most == 0 || a == 0 || of(a) > 0);
        }
    }
}
