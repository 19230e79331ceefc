//! What a derivation is made from, read from its text.
//!
//! Source: the Nix manual, "Derivation", and its format in the store: `Derive([OUTPUTS],[DERIVATIONS],[SOURCES],…)`.

use super::store_path::StorePath;

/// The derivations and sources that a derivation takes. None for a text in another form, which newer versions of Nix may
/// write.
pub(super) fn inputs(text: &str) -> Option<Vec<StorePath>> {
    let (_outputs, rest) = text.strip_prefix("Derive([")?.split_once("],[")?;
    let (derivations, rest) = match rest.strip_prefix("],[") {
        Some(rest) => ("", rest),
        None => rest.split_once(")],[")?,
    };
    let (sources, _) = rest.split_once(']')?;
    // Between the paths of derivations stand the names of their outputs, which are no paths.
    let quoted = [derivations, sources].into_iter().flat_map(|list| list.split('"').skip(1).step_by(2));
    quoted.filter(|word| word.starts_with('/')).map(|path| path.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-a";

    #[test]
    fn derivations_and_sources_are_found() {
        let out = format!(r#"("dev","{A}-dev","",""),("out","{A}","","")"#);
        let rest = format!(r#""x86_64-linux","/bin/sh",["-c","[],["],[("x","{A}-z")])"#);
        let table = [
            (String::new(), String::new(), vec![]),
            (String::new(), format!(r#""{A}-src""#), vec!["-src"]),
            (format!(r#"("{A}-b.drv",["out"])"#), String::new(), vec!["-b.drv"]),
            (
                format!(r#"("{A}-b.drv",["dev","out"]),("{A}-c.drv",["out"])"#),
                format!(r#""{A}-d","{A}-e""#),
                vec!["-b.drv", "-c.drv", "-d", "-e"],
            ),
        ];
        for (derivations, sources, found) in table {
            let text = format!("Derive([{out}],[{derivations}],[{sources}],{rest}");
            let found: Vec<StorePath> = found.into_iter().map(|end| format!("{A}{end}").parse().unwrap()).collect();
            assert_eq!(inputs(&text).unwrap(), found, "{text}");
        }
        assert_eq!(inputs("DrvWithVersion(\"xp-dyn-drv\",[],[],[])"), None);
        assert_eq!(inputs(""), None);
    }
}
