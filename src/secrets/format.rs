//! What a secret's name says of its content, and whether that holds.

/// The form of a content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Lines of `NAME=value`.
    Env,
    /// Keys and certificates between BEGIN and END.
    Pem,
}

/// A content that is not of its form. It tells where, and nothing of what stands there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is no {what}, from line {line} on")]
pub struct FormatError {
    /// What it should be.
    what: &'static str,
    /// The line, counted from 1.
    line: usize,
}

impl Format {
    /// The form that a name such as `config.json.age` says.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".age").unwrap_or(name);
        let (stem, ending) = name.rsplit_once('.')?;
        match ending {
            _ if stem.is_empty() => None,
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "env" => Some(Self::Env),
            "pem" => Some(Self::Pem),
            _ => None,
        }
    }

    /// Whether a content is of this form.
    pub fn check(self, content: &[u8]) -> Result<(), FormatError> {
        let (what, line) = match self {
            Self::Json => ("JSON", json(content)),
            Self::Yaml => ("YAML", yaml(content)),
            Self::Env => ("list of NAME=value", env(content)),
            Self::Pem => ("PEM", pem(content)),
        };
        line.map_or(Ok(()), |line| Err(FormatError { what, line }))
    }
}

/// The line that is wrong, as with the following.
fn json(content: &[u8]) -> Option<usize> {
    serde_json::from_slice::<serde::de::IgnoredAny>(content).err().map(|error| error.line().max(1))
}

fn yaml(content: &[u8]) -> Option<usize> {
    let Ok(text) = std::str::from_utf8(content) else { return Some(1) };
    let wrong = saphyr_parser::Parser::new_from_str(text).find_map(Result::err)?;
    Some(wrong.marker().line().max(1))
}

fn env(content: &[u8]) -> Option<usize> {
    let is_name = |name: &str| {
        let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        begins && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let is_well = |line: &str| {
        let line = line.trim_start();
        line.is_empty()
            || line.starts_with('#')
            || line.split_once('=').is_some_and(|(name, _)| is_name(name.trim_start_matches("export ")))
    };
    let Ok(text) = std::str::from_utf8(content) else { return Some(1) };
    text.lines().position(|line| !is_well(line)).map(|at| at + 1)
}

fn pem(content: &[u8]) -> Option<usize> {
    let Ok(text) = std::str::from_utf8(content) else { return Some(1) };
    let mut open: Option<&str> = None;
    let mut blocks = 0;
    for (at, line) in text.lines().map(str::trim_end).enumerate() {
        let label = |begin: &str| line.strip_prefix(begin).and_then(|rest| rest.strip_suffix("-----"));
        match (label("-----BEGIN "), label("-----END "), open) {
            (Some(label), None, None) => open = Some(label),
            (None, Some(label), Some(begun)) if label == begun => {
                open = None;
                blocks += 1;
            }
            (None, None, _) => {}
            _ => return Some(at + 1),
        }
    }
    (open.is_some() || blocks == 0).then(|| text.lines().count().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_form() {
        assert_eq!(Format::of_name("secrets/app.json.age"), Some(Format::Json));
        assert_eq!(Format::of_name("k8s.yml"), Some(Format::Yaml));
        assert_eq!((Format::of_name("token.age"), Format::of_name(".env.age")), (None, None));
    }

    #[test]
    fn a_content_that_is_not_of_its_form_is_told_by_its_line() {
        let line = |format: Format, content: &str| format.check(content.as_bytes()).err().map(|error| error.line);
        assert_eq!((line(Format::Json, "{\"a\": 1}"), line(Format::Json, "{\n\"a\": }")), (None, Some(2)));
        assert_eq!((line(Format::Yaml, "a: 1\nb: [x]\n"), line(Format::Yaml, "a: [\n").is_some()), (None, true));
        assert_eq!((line(Format::Env, "# x\nexport A=1\n\nB_2=\n"), line(Format::Env, "A=1\nB\n")), (None, Some(2)));
        let pem = "-----BEGIN A KEY-----\nAAAA\n-----END A KEY-----\n";
        assert_eq!(
            (line(Format::Pem, pem), line(Format::Pem, "-----BEGIN A-----\n"), line(Format::Pem, "x")),
            (None, Some(1), Some(1))
        );
        assert!(!Format::Json.check(b"hunter2").unwrap_err().to_string().contains("hunter2"));
    }
}
