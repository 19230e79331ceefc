//! Reads located TOML values against tables of keys, and collects everything that does not fit.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::problem::{Located, Problem};
use crate::fleet::shown::{shown, toml_key};

/// A key that a table may have, and how its value gets into `T`.
pub(super) struct Key<T> {
    pub(super) name: &'static str,
    pub(super) set: fn(&mut T, &mut Entry<'_>),
}

/// What a value must look like.
pub(super) struct Shape<T> {
    /// The words that follow "must be".
    pub(super) wanted: &'static str,
    /// A value as one would write it.
    pub(super) example: &'static str,
    pub(super) read: fn(&DeValue<'_>) -> Result<T, Misfit>,
}

/// Why a value does not fit.
pub(super) enum Misfit {
    /// The shape's own words say it all.
    Plain,
    /// The value is recognised as a slip, and this mends it.
    Slip(String),
}

/// One key of the file with its value.
pub(super) struct Entry<'a> {
    /// The table that it stands in, as a message names it.
    table: &'a str,
    pub(super) key: &'a str,
    pub(super) key_span: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
    problems: &'a mut Vec<Located>,
}

impl<'a> Entry<'a> {
    /// The value, if it fits; a problem otherwise.
    pub(super) fn read<V>(&mut self, shape: &Shape<V>) -> Option<V> {
        self.located(shape).map(Spanned::into_inner)
    }

    /// The value together with its place.
    pub(super) fn located<V>(&mut self, shape: &Shape<V>) -> Option<Spanned<V>> {
        self.fit(shape, self.value)
    }

    /// The values of a list that fit; a problem for each that does not.
    pub(super) fn each<V>(&mut self, list: &Shape<()>, shape: &Shape<V>) -> Vec<V> {
        self.each_located(list, shape).into_iter().map(Spanned::into_inner).collect()
    }

    /// As [`Self::each`], every value together with its place.
    pub(super) fn each_located<V>(&mut self, list: &Shape<()>, shape: &Shape<V>) -> Vec<Spanned<V>> {
        let DeValue::Array(values) = self.value.get_ref() else {
            self.read(list);
            return Vec::new();
        };
        values.iter().filter_map(|value| self.fit(shape, value)).collect()
    }

    /// Reads the value as a table that has `keys`. `name` is the table's own.
    pub(super) fn table<T>(&mut self, name: &str, keys: &[Key<T>], into: &mut T) {
        if let Some(table) = self.as_table() {
            read_table(table, &format!("`[{name}]`"), keys, into, self.problems);
        }
    }

    /// Reads the value as a table whose keys are names of the file's own making.
    pub(super) fn named(&mut self, name: &str, mut read: impl FnMut(&mut Entry<'_>)) {
        let Some(table) = self.as_table() else { return };
        for (key, value) in table {
            read(&mut Entry {
                table: &format!("`[{name}]`"),
                key: key.get_ref(),
                key_span: key.span(),
                value,
                problems: self.problems,
            });
        }
    }

    /// As [`Self::named`], for a table of which the name is this entry's place in the file.
    pub(super) fn nested_named(&mut self, read: impl FnMut(&mut Entry<'_>)) {
        let name = self.header();
        self.named(&name, read);
    }

    /// Reads the value as a list of which each item may be a table or something shorter.
    pub(super) fn items(&mut self, wanted: &'static str, example: &'static str, mut read: impl FnMut(&mut Entry<'_>)) {
        let DeValue::Array(values) = self.value.get_ref() else {
            self.read(&Shape { wanted, example, read: |_| Err::<(), _>(Misfit::Plain) });
            return;
        };
        for value in values {
            let Entry { table, key, ref key_span, .. } = *self;
            read(&mut Entry { table, key, key_span: key_span.clone(), value, problems: self.problems });
        }
    }

    /// The values of a list that fit, of which there must be one at least; a problem for all else.
    pub(super) fn some_of_each<V>(&mut self, list: &Shape<()>, shape: &Shape<V>) -> Vec<V> {
        if matches!(self.value.get_ref(), DeValue::Array(values) if values.is_empty()) {
            self.read(list);
        }
        self.each(list, shape)
    }

    /// Whether the value is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Reads the value as a table of which the name is this entry's place in the file.
    pub(super) fn nested<T>(&mut self, keys: &[Key<T>], into: &mut T) {
        let name = self.header();
        self.table(&name, keys, into);
    }

    /// Reads the value, an item of a list, as a table that has all these `keys` and must have the one that it `needs`. Gives
    /// whether it has.
    pub(super) fn table_with<T>(&mut self, keys: &[&[Key<T>]], needs: &'static str, into: &mut T) -> bool {
        let name = format!("`[[{}]]`", self.header());
        let DeValue::Table(table) = self.value.get_ref() else { return false };
        read_tables(table, &name, keys, into, self.problems);
        let has = table.keys().any(|key| key.get_ref() == needs);
        if !has {
            self.problems.push((self.value.span(), Problem::Missing { key: needs, table: name }));
        }
        has
    }

    /// Records that the key's name cannot name a `of`.
    pub(super) fn refuse_name(&mut self, of: &'static str) {
        self.problems.push((self.key_span.clone(), Problem::Name { name: self.key.to_owned(), of }));
    }

    /// Records a problem at `span`.
    pub(super) fn refuse(&mut self, span: Range<usize>, problem: Problem) {
        self.problems.push((span, problem));
    }

    fn as_table(&mut self) -> Option<&'a DeTable<'a>> {
        const TABLE: Shape<()> = Shape { wanted: "a table", example: "", read: |_| Err(Misfit::Plain) };
        let value = self.value;
        let DeValue::Table(table) = value.get_ref() else {
            let advice = format!("put its keys under a header of its own, `[{}]`", self.header());
            self.problems.push((value.span(), self.unfit(TABLE.wanted, value.get_ref(), advice)));
            return None;
        };
        Some(table)
    }

    /// The header under which this entry's keys would stand.
    fn header(&self) -> String {
        let outer = self.table.strip_prefix("`[").and_then(|rest| rest.strip_suffix("]`"));
        let key = toml_key(self.key);
        outer.map_or_else(|| key.clone(), |outer| format!("{outer}.{key}"))
    }

    fn fit<V>(&mut self, shape: &Shape<V>, value: &Spanned<DeValue<'_>>) -> Option<Spanned<V>> {
        let misfit = match (shape.read)(value.get_ref()) {
            Ok(fitting) => return Some(Spanned::new(value.span(), fitting)),
            Err(misfit) => misfit,
        };
        let advice = match misfit {
            Misfit::Plain => format!("for example `{} = {}`", shown(self.key), shape.example),
            Misfit::Slip(advice) => advice,
        };
        self.problems.push((value.span(), self.unfit(shape.wanted, value.get_ref(), advice)));
        None
    }

    fn unfit(&self, wanted: &'static str, value: &DeValue<'_>, advice: String) -> Problem {
        let (key, table) = (self.key.to_owned(), self.table.to_owned());
        Problem::Unfit { key, table, wanted, found: found(value), advice }
    }
}

/// Reads `table` against `keys` into `into`. `name` is how a message names the table.
pub(super) fn read_table<T>(
    table: &DeTable<'_>,
    name: &str,
    keys: &[Key<T>],
    into: &mut T,
    problems: &mut Vec<Located>,
) {
    read_tables(table, name, &[keys], into, problems);
}

/// As [`read_table`], against the keys of several tables.
fn read_tables<T>(table: &DeTable<'_>, name: &str, keys: &[&[Key<T>]], into: &mut T, problems: &mut Vec<Located>) {
    let keys: Vec<&Key<T>> = keys.iter().copied().flatten().collect();
    for (key, value) in table {
        if let Some(known) = keys.iter().find(|known| known.name == key.get_ref()) {
            let mut entry = Entry { table: name, key: key.get_ref(), key_span: key.span(), value, problems };
            (known.set)(into, &mut entry);
        } else {
            let problem = Problem::UnknownKey {
                key: key.get_ref().to_string(),
                table: name.to_owned(),
                known: keys.iter().map(|known| known.name).collect(),
                home: keys::home_of(key.get_ref()),
                holds_table: value.get_ref().is_table(),
            };
            problems.push((key.span(), problem));
        }
    }
}

/// What a value is, in the words of a message.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{}\"", shown(text)),
        DeValue::Integer(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Float(number) => format!("the fraction {}", shown(&number.to_string())),
        DeValue::Boolean(truth) => format!("`{truth}`"),
        DeValue::Datetime(_) => "a date or time".into(),
        DeValue::Array(values) if values.is_empty() => "an empty list".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
