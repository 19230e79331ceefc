//! A value of a SOPS file, and how it is written before it is encrypted.

use std::fmt;

use zeroize::Zeroizing;

use super::error::SopsError;

/// A value in the clear. `Debug` says its type and never what it is.
#[derive(Clone, PartialEq)]
pub enum Plain {
    /// Text; in a binary file any bytes.
    Text(Zeroizing<Vec<u8>>),
    /// Bytes, as older versions of SOPS wrote them.
    Bytes(Zeroizing<Vec<u8>>),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A moment, as RFC 3339 writes it.
    Time(String),
}

impl Plain {
    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// What SOPS calls the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Bool(_) => "bool",
            Self::Time(_) => "time",
        }
    }

    /// The bytes that are encrypted and that go into the MAC.
    pub fn bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) => bytes.clone(),
            Self::Int(int) => owned(int.to_string()),
            Self::Float(float) => owned(plain_float(*float)),
            Self::Bool(truth) => owned(if *truth { "True" } else { "False" }.to_owned()),
            Self::Time(text) => owned(text.clone()),
        }
    }

    /// Whether SOPS leaves it as it is, because there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(bytes) | Self::Bytes(bytes) if bytes.is_empty())
    }

    /// The value that was encrypted under this name of a type.
    pub(super) fn decode(type_name: &str, bytes: Zeroizing<Vec<u8>>) -> Result<Self, SopsError> {
        let text = || std::str::from_utf8(&bytes).map_err(|_| SopsError::BadPlaintext);
        match type_name {
            "str" => Ok(Self::Text(bytes)),
            "bytes" => Ok(Self::Bytes(bytes)),
            "int" => text()?.parse().map(Self::Int).map_err(|_| SopsError::BadPlaintext),
            "float" => parse_float(text()?).map(Self::Float).ok_or(SopsError::BadPlaintext),
            "bool" => parse_bool(text()?).map(Self::Bool).ok_or(SopsError::BadPlaintext),
            "time" => Ok(Self::Time(text()?.to_owned())),
            other => Err(SopsError::UnknownType(other.chars().take(20).collect())),
        }
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plain({}, hidden)", self.type_name())
    }
}

fn owned(text: String) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.into_bytes())
}

/// As Go's `strconv` writes it with the format `f` and the fewest digits that tell it from its neighbours.
fn plain_float(float: f64) -> String {
    if float.is_nan() {
        "NaN".to_owned()
    } else if float.is_infinite() {
        if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        float.to_string()
    }
}

fn parse_float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// The spellings that SOPS accepts, of which it writes but two.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_survives_its_bytes() {
        let values = [
            Plain::text("x\ny"),
            Plain::Bytes(Zeroizing::new(vec![0, 255])),
            Plain::Int(-7),
            Plain::Float(1_234.567_89),
            Plain::Float(1e21),
            Plain::Bool(true),
            Plain::Bool(false),
            Plain::Time("2024-01-02T03:04:05Z".to_owned()),
        ];
        for value in values {
            let back = Plain::decode(value.type_name(), value.bytes()).unwrap();
            assert!(back == value, "{value:?}");
        }
    }

    #[test]
    fn numbers_are_written_without_an_exponent() {
        let written = |float: f64| String::from_utf8(Plain::Float(float).bytes().to_vec()).unwrap();
        assert_eq!(written(1.0), "1");
        assert_eq!(written(1e21), "1000000000000000000000");
        assert_eq!(written(1e-7), "0.0000001");
        assert_eq!(written(f64::INFINITY), "+Inf");
    }

    #[test]
    fn a_value_is_never_shown() {
        assert_eq!(format!("{:?}", Plain::text("hunter2")), "Plain(str, hidden)");
    }

    #[test]
    fn other_spellings_of_truth_are_read() {
        for (text, truth) in [("True", true), ("t", true), ("FALSE", false), ("0", false)] {
            assert!(Plain::decode("bool", owned(text.to_owned())).unwrap() == Plain::Bool(truth));
        }
        assert!(Plain::decode("bool", owned("yes".to_owned())).is_err());
        assert!(Plain::decode("complex", owned(String::new())).is_err());
    }
}
