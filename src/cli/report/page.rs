//! The page: one file with its styles, which loads nothing.

use super::command::Told;
use super::parts::{deployments, evaluations, fleet, tiles};
use crate::report::html_escaped;
use crate::report::units::local;

/// The styles, in light and dark.
const STYLE: &str = include_str!("page.css");

pub(super) fn page(told: &Told) -> String {
    let flake = html_escaped(&told.flake);
    // The policy has a browser refuse whatever would be loaded, should anything of it ever get into the page.
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"generator\" content=\"hubctl {}\">\n<title>Fleet of {flake}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>Fleet of {flake}</h1>\n\
         <p>Made on {} from what hubctl wrote down.</p>\n</header>\n<main>\n{}{}{}{}</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        html_escaped(&local(told.made)),
        tiles(told),
        fleet(told),
        deployments(told),
        evaluations(told),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The variables of the styles, in the light and in the dark.
    fn palettes() -> [BTreeMap<&'static str, [f64; 3]>; 2] {
        let mut blocks = STYLE.split("--back:").skip(1).map(|rest| {
            let block = rest.split('}').next().unwrap();
            let pairs = block.split(';').filter_map(|pair| pair.split_once(':'));
            let mut colours: BTreeMap<_, _> =
                pairs.map(|(name, value)| (name.trim().trim_start_matches("--"), rgb(value.trim()))).collect();
            colours.insert("back", rgb(block.split(';').next().unwrap().trim()));
            colours
        });
        [blocks.next().unwrap(), blocks.next().unwrap()]
    }

    fn rgb(hex: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
    }

    /// How far two colours are apart, as WCAG 2 counts it.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |colour: [f64; 3]| {
            let linear = colour.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_signs_stand_out_in_light_and_dark() {
        for palette in palettes() {
            for name in ["text", "dim", "ok", "warn", "fail", "plain", "bar"] {
                for ground in ["back", "card"] {
                    let found = contrast(palette[name], palette[ground]);
                    assert!(found >= 4.5, "{name} on {ground}: {found:.2}");
                }
            }
        }
        assert!(contrast(rgb("#ffffff"), rgb("#777777")) < 4.5, "the check finds nothing");
    }

    #[test]
    fn an_empty_fleet_is_a_page_too() {
        let html = page(&Told { flake: "/hub<script>".to_owned(), ..Told::default() });
        assert!(html.contains("/hub&lt;script&gt;") && !html.contains("<script"), "{html}");
        for word in ["http:", "https:", "src=", "href=", "url(", "@import", "<link"] {
            assert!(!html.contains(word), "{word}");
        }
    }
}
