//! What the values of `hub.toml` look like.

use std::num::NonZeroUsize;
use std::path::{Component, PathBuf};
use std::time::Duration;

use globset::{Glob, GlobBuilder};
use toml::de::DeValue;

use super::reader::{Misfit, Shape};
use crate::error::nearest;
use crate::fleet::duration::{parse_age, parse_duration};
use crate::fleet::host::is_word;
use crate::fleet::selector::is_glob;
use crate::fleet::{Batch, BuildOn, FailedUnits, HostName, Kind, OnFailure, Reboots};
use crate::lint::{Level, Severity};
use crate::nix::CacheUrl;
use crate::remote::{Elevate, HostKeys, Place};
use crate::secrets::generate::{Generator, GeneratorError};

type Read<T> = Result<T, Misfit>;

pub(super) const TARGET: Shape<String> = Shape {
    wanted: "a name, an address or an ssh alias (letters, digits and `.-_:%+`, no `-` in front)",
    example: "\"p620.lan\"",
    read: |value| target(text(value)?),
};

pub(super) const USER: Shape<String> = Shape {
    wanted: "a user's name (letters, digits and `.-_+`, no `-` in front)",
    example: "\"root\"",
    read: |value| word(text(value)?, ".-_+").map(str::to_owned),
};

pub(super) const PORT: Shape<u16> = Shape {
    wanted: "a whole number from 1 to 65535",
    example: "22",
    read: |value| whole(value)?.try_into().ok().filter(|port| *port != 0).ok_or(Misfit::Plain),
};

/// The systems that Nix has names for and that a host of a fleet can run.
const SYSTEMS: &[&str] = &[
    "aarch64-darwin",
    "aarch64-linux",
    "armv5tel-linux",
    "armv6l-linux",
    "armv7a-linux",
    "armv7l-linux",
    "i686-linux",
    "loongarch64-linux",
    "mips-linux",
    "mips64-linux",
    "mips64el-linux",
    "mipsel-linux",
    "powerpc-linux",
    "powerpc64-linux",
    "powerpc64le-linux",
    "riscv32-linux",
    "riscv64-linux",
    "s390x-linux",
    "x86_64-darwin",
    "x86_64-linux",
];

pub(super) const SYSTEM: Shape<String> = Shape {
    wanted: "a system that Nix knows",
    example: "\"x86_64-linux\"",
    read: |value| match text(value)? {
        known if SYSTEMS.contains(&known) => Ok(known.to_owned()),
        other => Err(slip_of(other, SYSTEMS.iter().copied())),
    },
};

pub(super) const KIND: Shape<Kind> = Shape {
    wanted: "\"nixos\", \"darwin\" or \"home\"",
    example: "\"nixos\"",
    read: |value| choice(value, &[("nixos", Kind::Nixos), ("darwin", Kind::Darwin), ("home", Kind::Home)]),
};

pub(super) const ELEVATE: Shape<Elevate> = Shape {
    wanted: "\"none\", \"sudo\", \"doas\" or \"run0\"",
    example: "\"sudo\"",
    read: |value| {
        let all = [("none", Elevate::None), ("sudo", Elevate::Sudo), ("doas", Elevate::Doas), ("run0", Elevate::Run0)];
        choice(value, &all)
    },
};

pub(super) const HOST_KEYS: Shape<HostKeys> = Shape {
    wanted: "\"strict\" or \"accept-new\"",
    example: "\"strict\"",
    read: |value| choice(value, &[("strict", HostKeys::Strict), ("accept-new", HostKeys::AcceptNew)]),
};

pub(super) const FAILED_UNITS: Shape<FailedUnits> = Shape {
    wanted: "\"tolerate\", \"fail\" or \"rollback\"",
    example: "\"rollback\"",
    read: |value| {
        let all =
            [("tolerate", FailedUnits::Tolerate), ("fail", FailedUnits::Fail), ("rollback", FailedUnits::Rollback)];
        choice(value, &all)
    },
};

pub(super) const REBOOTS: Shape<Reboots> = Shape {
    wanted: "\"allowed\" or \"never\"",
    example: "\"never\"",
    read: |value| choice(value, &[("allowed", Reboots::Allowed), ("never", Reboots::Never)]),
};

pub(super) const ON_FAILURE: Shape<OnFailure> = Shape {
    wanted: "\"keep\" or \"roll-back\"",
    example: "\"roll-back\"",
    read: |value| choice(value, &[("keep", OnFailure::Keep), ("roll-back", OnFailure::RollBack)]),
};

pub(super) const BATCH: Shape<Batch> = Shape {
    wanted: "a whole number from 1 to 10000, or a share from \"1%\" to \"100%\"",
    example: "\"50%\"",
    read: |value| match value {
        DeValue::Integer(_) => whole(value)?.to_string().parse().map_err(|_| Misfit::Plain),
        value => match text(value)? {
            share if share.ends_with('%') => share.parse().map_err(|_| Misfit::Plain),
            count if count.parse::<Batch>().is_ok() => {
                Err(Misfit::Slip(format!("write the number without quotes: {count}")))
            }
            _ => Err(Misfit::Plain),
        },
    },
};

pub(super) const HOST_NAMES: Shape<()> =
    Shape { wanted: "a list of hosts", example: "[\"p620\"]", read: |_| Err(Misfit::Plain) };

pub(super) const HOST_NAME: Shape<HostName> = Shape {
    wanted: "names of hosts",
    example: "[\"p620\"]",
    read: |value| match text(value)? {
        tag if tag.starts_with('@') => {
            Err(Misfit::Slip("name the hosts themselves: tags do not stand for hosts here".into()))
        }
        name => name.parse().map_err(|_| Misfit::Plain),
    },
};

pub(super) const BUILD_ON: Shape<BuildOn> = Shape {
    wanted: "\"here\", \"target\" or the name of a host",
    example: "\"here\"",
    read: |value| text(value)?.parse().map_err(|_| Misfit::Plain),
};

pub(super) const LABEL: Shape<String> = Shape {
    wanted: "a word of letters, digits, `-`, `_` and `.`, with neither `-` nor `.` in front",
    example: "\"server\"",
    read: |value| label(text(value)?),
};

pub(super) const TAG: Shape<String> = Shape {
    wanted: "words of letters, digits, `-`, `_` and `.`, with neither `-` nor `.` in front",
    example: "[\"edge\", \"amd\"]",
    read: |value| match text(value)? {
        tag if tag.starts_with('@') => Err(Misfit::Slip("write the tag without `@`, which only selects by it".into())),
        tag => label(tag),
    },
};

pub(super) const TAGS: Shape<()> =
    Shape { wanted: "a list of words", example: "[\"edge\", \"amd\"]", read: |_| Err(Misfit::Plain) };

pub(super) const TRUTH: Shape<bool> = Shape {
    wanted: "`true` or `false`, without quotes",
    example: "true",
    read: |value| value.as_bool().ok_or(Misfit::Plain),
};

pub(super) const FILE: Shape<PathBuf> = Shape {
    wanted: "the path of a file, absolute or from the hub's root",
    example: "\"ssh_config\"",
    read: |value| match text(value)? {
        "" => Err(Misfit::Plain),
        path if path.contains('\0') => Err(Misfit::Plain),
        path if path.starts_with('~') => {
            Err(Misfit::Slip("`~` is not expanded here: write the path out, or from the hub's root".into()))
        }
        path => Ok(path.into()),
    },
};

pub(super) const STORE: Shape<CacheUrl> = Shape {
    wanted: "the URL of a store that Nix knows, such as ssh-ng://, file://, s3://, http:// or https://",
    example: "\"ssh-ng://p620\"",
    read: |value| text(value)?.parse().map_err(|_| Misfit::Plain),
};

pub(super) const WORDS: Shape<()> =
    Shape { wanted: "a list of texts", example: "[\"attic\", \"push\", \"hub\"]", read: |_| Err(Misfit::Plain) };

pub(super) const WORD: Shape<String> = Shape {
    wanted: "texts that are not empty",
    example: "[\"attic\", \"push\", \"hub\"]",
    read: |value| match text(value)? {
        word if word.is_empty() || word.contains('\0') => Err(Misfit::Plain),
        word => Ok(word.to_owned()),
    },
};

pub(super) const KEYS: Shape<()> =
    Shape { wanted: "a list of public keys", example: EXAMPLE_KEYS, read: |_| Err(Misfit::Plain) };

const EXAMPLE_KEYS: &str = "[\"hub-1:N19VBhqs4hibNZIm2C3N9kfuJaGDAw7wci3MMXQakIU=\"]";

/// A name, a colon, and the 32 bytes of a key in base 64.
pub(super) const PUBLIC_KEY: Shape<String> = Shape {
    wanted: "public keys as Nix writes them, a name and 44 characters with `:` between",
    example: EXAMPLE_KEYS,
    read: |value| {
        let key = text(value)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let (name, bytes) = key.rsplit_once(':').ok_or(Misfit::Plain)?;
        let right = !name.is_empty() && !key.contains(char::is_whitespace) && bytes.chars().all(fits);
        match bytes.len() {
            44 if right => Ok(key.to_owned()),
            88 if right => Err(Misfit::Slip(
                "this is a secret key, which all who read the file know by now: make a new one".into(),
            )),
            _ => Err(Misfit::Plain),
        }
    },
};

pub(super) const DURATION: Shape<Duration> =
    Shape { wanted: "a time such as \"60s\", \"5m\" or \"1h30m\", at most a week", example: "\"60s\"", read: duration };

pub(super) const AGE: Shape<Duration> = Shape {
    wanted: "an age such as \"36h\", \"14d\" or \"8w\"",
    example: "\"14d\"",
    read: |value| match value {
        DeValue::Integer(number) => Err(Misfit::Slip(format!("write the unit too: \"{number}d\""))),
        value => parse_age(text(value)?).ok_or(Misfit::Plain),
    },
};

pub(super) const DEADLINE: Shape<Duration> = Shape {
    wanted: "a time such as \"10s\", \"5m\" or \"1h30m\", more than zero and at most a week",
    example: "\"10s\"",
    read: |value| duration(value).and_then(|time| if time.is_zero() { Err(Misfit::Plain) } else { Ok(time) }),
};

/// Bounded, so that it fits every counter that it may be given to.
const MOST: usize = 10_000;

pub(super) const PERCENT: Shape<u8> = Shape {
    wanted: "a whole number of percent, from 0 to 100",
    example: "20",
    read: |value| whole(value)?.try_into().ok().filter(|percent| *percent <= 100).ok_or(Misfit::Plain),
};

pub(super) const COUNT: Shape<NonZeroUsize> = Shape {
    wanted: "a whole number from 1 to 10000",
    example: "8",
    read: |value| {
        let count = usize::try_from(whole(value)?).ok().filter(|count| *count <= MOST);
        count.and_then(NonZeroUsize::new).ok_or(Misfit::Plain)
    },
};

/// How often a check may be tried again.
const MOST_RETRIES: i64 = 1000;

pub(super) const RETRIES: Shape<u32> = Shape {
    wanted: "a whole number from 0 to 1000",
    example: "5",
    read: |value| {
        let count = whole(value)?;
        u32::try_from(count).ok().filter(|_| count <= MOST_RETRIES).ok_or(Misfit::Plain)
    },
};

pub(super) const PLACE: Shape<Place> = Shape {
    wanted: "\"host\" or \"operator\"",
    example: "\"operator\"",
    read: |value| choice(value, &[("host", Place::Host), ("operator", Place::Operator)]),
};

/// A unit, and whether it is a glob for several.
pub(super) const UNIT: Shape<(String, bool)> = Shape {
    wanted: "the name of a unit with its kind, or a glob",
    example: "\"sshd.service\"",
    read: |value| {
        let unit = text(value)?;
        unit_glob(unit).map(|_| (unit.to_owned(), is_glob(unit))).ok_or_else(|| {
            let named = !unit.contains('.') && unit_glob(&format!("{unit}.service")).is_some();
            if named { Misfit::Slip(format!("write the unit's kind too: \"{unit}.service\"")) } else { Misfit::Plain }
        })
    },
};

pub(super) const URL: Shape<String> = Shape {
    wanted: "a URL that begins with http:// or https://",
    example: "\"http://localhost/\"",
    read: |value| {
        let url = text(value)?;
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or(Misfit::Plain)?;
        let fits = !host.is_empty() && !url.contains(|c: char| c.is_whitespace() || c.is_control());
        if fits { Ok(url.to_owned()) } else { Err(Misfit::Plain) }
    },
};

pub(super) const STATUS: Shape<u16> = Shape {
    wanted: "a status of HTTP, 100 to 599",
    example: "200",
    read: |value| whole(value)?.try_into().ok().filter(|status| (100..600).contains(status)).ok_or(Misfit::Plain),
};

/// A text that can be looked for line by line.
pub(super) const LINE: Shape<String> =
    Shape { wanted: "a text of one line", example: "\"ok\"", read: |value| line(value) };

pub(super) const CHECK_NAME: Shape<String> =
    Shape { wanted: "a text of one line", example: "\"web\"", read: |value| line(value) };

pub(super) const ARGUMENTS: Shape<()> = Shape {
    wanted: "a list of words, the program first",
    example: "[\"test\", \"-e\", \"/run/ready\"]",
    read: |_| Err(Misfit::Plain),
};

/// A word of a command line. It may be empty, unlike those of programs that are given more words.
pub(super) const ARGUMENT: Shape<String> = Shape {
    wanted: "words",
    example: "[\"test\", \"-e\", \"/run/ready\"]",
    read: |value| match text(value)? {
        word if word.contains('\0') => Err(Misfit::Plain),
        word => Ok(word.to_owned()),
    },
};

pub(super) const ABSOLUTE: Shape<String> = Shape {
    wanted: "an absolute path",
    example: "\"/run/ready\"",
    read: |value| match text(value)? {
        path if path.starts_with('/') && !path.contains('\0') => Ok(path.to_owned()),
        _ => Err(Misfit::Plain),
    },
};

pub(super) const PATHS: Shape<()> =
    Shape { wanted: "a list of paths", example: "[\"vendor\"]", read: |_| Err(Misfit::Plain) };

/// A path from the hub's root, or several.
pub(super) const PATH_GLOB: Shape<Glob> = Shape {
    wanted: "paths from the hub's root, or globs for such",
    example: "[\"vendor\", \"hosts/*/generated.nix\"]",
    read: |value| {
        let path = text(value)?.trim_end_matches('/');
        if path.starts_with(['/', '~']) || path.starts_with("..") || path.is_empty() {
            return Err(Misfit::Plain);
        }
        GlobBuilder::new(path.trim_start_matches("./")).literal_separator(true).build().map_err(|_| Misfit::Plain)
    },
};

pub(super) const GENERATOR: Shape<Generator> = Shape {
    wanted: "a generator, such as \"password\" or \"hex:bytes=16\"",
    example: "\"password:length=40\"",
    read: |value| text(value)?.parse().map_err(|error: GeneratorError| Misfit::Slip(error.to_string())),
};

pub(super) const SECRETS: Shape<()> = Shape {
    wanted: "a list of secrets",
    example: "[\"secrets/web.yaml#database/password\"]",
    read: |_| Err(Misfit::Plain),
};

pub(super) const SECRET: Shape<String> = Shape {
    wanted: "names of secrets, or a file of SOPS with the place of a value behind `#`",
    example: "\"secrets/web.yaml#database/password\"",
    read: |value| match text(value)? {
        name if is_secret(name) && !is_glob(name) => Ok(name.to_owned()),
        _ => Err(Misfit::Plain),
    },
};

/// A file of the repository, and none that a link or a `..` leads to.
pub(super) const BELOW_ROOT: Shape<PathBuf> = Shape {
    wanted: "the path of a file, from the hub's root and below it",
    example: "\"hosts/p620/wireguard.pub\"",
    read: |value| {
        let path = PathBuf::from(text(value)?);
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let fits = is_plain && path.file_name().is_some() && !path.starts_with(".git");
        if fits && !path.to_string_lossy().contains(char::is_control) { Ok(path) } else { Err(Misfit::Plain) }
    },
};

pub(super) const LEVEL: Shape<Level> = Shape {
    wanted: "\"off\", \"note\", \"warning\" or \"error\"",
    example: "\"off\"",
    read: |value| {
        let all = [
            ("off", Level::Off),
            ("note", Level::At(Severity::Note)),
            ("warning", Level::At(Severity::Warning)),
            ("error", Level::At(Severity::Error)),
        ];
        choice(value, &all)
    },
};

pub(super) const COUNT_OR_NONE: Shape<usize> = Shape {
    wanted: "a whole number from 0 to 10000",
    example: "1",
    read: |value| usize::try_from(whole(value)?).ok().filter(|count| *count <= MOST).ok_or(Misfit::Plain),
};

pub(super) const NIX_VALUE: Shape<String> = Shape {
    wanted: "a text, `true`, `false` or a whole number",
    example: "\"value\"",
    read: |value| match value {
        DeValue::String(text) if !text.contains('\0') => Ok(text.to_string()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Integer(_) => Ok(whole(value)?.to_string()),
        DeValue::Array(_) => {
            Err(Misfit::Slip("write a list as one text with spaces between, as `nix.conf` does".into()))
        }
        _ => Err(Misfit::Plain),
    },
};

/// Whether `text` can be a role or a tag: what can be a host's name, so that selectors can name it.
pub(super) fn is_label(text: &str) -> bool {
    is_word(text)
}

/// Whether `text` can name a secret, or several.
pub(super) fn is_secret(text: &str) -> bool {
    let is_name = !text.is_empty() && !text.contains(char::is_control) && !text.starts_with('#');
    is_name && (!is_glob(text) || Glob::new(text).is_ok())
}

/// The units that `text` names: one with its kind, such as `nginx.service`, or those that match a glob.
pub(super) fn unit_glob(text: &str) -> Option<Glob> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c) || "*?[]{},!".contains(c);
    let named = text.contains('.') || is_glob(text);
    let fitting = named && !text.starts_with('-') && text.chars().all(fits);
    // A backslash is a part of the names that systemd makes of paths.
    if fitting { GlobBuilder::new(text).backslash_escape(false).build().ok() } else { None }
}

/// Whether `text` can be the name of a setting of Nix.
pub(super) fn is_nix_option(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(fits)
}

fn text<'a>(value: &'a DeValue<'_>) -> Read<&'a str> {
    value.as_str().ok_or(Misfit::Plain)
}

fn line(value: &DeValue<'_>) -> Read<String> {
    let line = text(value)?;
    if line.is_empty() || line.contains(char::is_control) { Err(Misfit::Plain) } else { Ok(line.to_owned()) }
}

fn whole(value: &DeValue<'_>) -> Read<i64> {
    let number = value.as_integer().ok_or(Misfit::Plain)?;
    i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| Misfit::Plain)
}

fn choice<T: Copy>(value: &DeValue<'_>, all: &[(&'static str, T)]) -> Read<T> {
    let word = text(value)?;
    let found = all.iter().find(|(name, _)| *name == word);
    found.map(|(_, choice)| *choice).ok_or_else(|| slip_of(word, all.iter().map(|(name, _)| *name)))
}

fn slip_of(word: &str, known: impl IntoIterator<Item = &'static str>) -> Misfit {
    nearest(&word.to_lowercase(), known).map_or(Misfit::Plain, |near| Misfit::Slip(format!("did you mean \"{near}\"?")))
}

fn word<'a>(text: &'a str, extra: &str) -> Read<&'a str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    let fitting = !text.is_empty() && !text.starts_with('-') && text.chars().all(fits);
    if fitting { Ok(text) } else { Err(Misfit::Plain) }
}

fn label(text: &str) -> Read<String> {
    if is_label(text) { Ok(text.to_owned()) } else { Err(Misfit::Plain) }
}

/// An ssh destination. The user and the port have keys of their own: written here too, they would contradict them.
fn target(text: &str) -> Read<String> {
    let port = text.split_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    if text.contains("://") {
        Err(Misfit::Slip("write the host alone, without `ssh://`; user and port are the keys `user` and `port`".into()))
    } else if let Some((user, host)) = text.split_once('@') {
        let slip = || Misfit::Slip(format!("write `target = \"{host}\"` and `user = \"{user}\"`"));
        Err(word(user, ".-_+").and(word(host, ".-_:%+")).map_or(Misfit::Plain, |_| slip()))
    } else if let Some((host, port)) = port {
        let slip = || Misfit::Slip(format!("write `target = \"{host}\"` and `port = {port}`"));
        Err(word(host, ".-_").map_or(Misfit::Plain, |_| slip()))
    } else {
        word(text, ".-_:%+").map(str::to_owned)
    }
}

/// A time, with its unit.
fn duration(value: &DeValue<'_>) -> Read<Duration> {
    if let DeValue::Integer(number) = value {
        return Err(Misfit::Slip(format!("write the unit too: \"{number}s\"")));
    }
    parse_duration(text(value)?).ok_or(Misfit::Plain)
}
