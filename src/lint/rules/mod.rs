//! The rules of `lint`: one file each, which all stand in [`RULES`]. Each has a page in `docs/lint`, whose examples are what tests
//! hold it to.

use rnix::ast::AttrpathValue;
use rnix::{SyntaxKind, SyntaxNode};

use super::file::File;
use super::finding::{Finding, Severity};
use super::options::{Options, Setting};
use super::tree::Tree;

macro_rules! rules {
    ($($module:ident),* $(,)?) => {
        $(pub(super) mod $module;)*

        /// Every rule, in the order of their names.
        pub const RULES: &[Rule] = &[$($module::RULE),*];
    };
}

/// Something that is looked for in Nix files.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, which never changes.
    pub name: &'static str,
    /// How much its findings matter where `hub.toml` does not say it.
    pub severity: Severity,
    /// Its page of documentation.
    pub page: &'static str,
    pub(super) check: Check,
}

/// How a rule looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// At each node of these kinds.
    Nodes(&'static [SyntaxKind], fn(&SyntaxNode, &File<'_>) -> Option<Finding>),
    /// At each attribute that is set by a path which ends with one of these names.
    Named(&'static [&'static str], fn(&AttrpathValue, &File<'_>) -> Option<Finding>),
    /// At each attribute that is set, with the options that are known.
    Options(fn(&Setting, &Options) -> Option<Finding>),
    /// At a file as a whole.
    File(fn(&File<'_>) -> Vec<Finding>),
    /// At all files at once: each finding with the path of its file.
    Tree(fn(&Tree<'_>) -> Vec<(String, Finding)>),
}

impl Rule {
    /// What its page says first of it.
    pub fn summary(&self) -> &'static str {
        self.page.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default()
    }
}

/// The rule of this name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

/// A rule with its page, which is called as it is.
macro_rules! rule {
    ($name:literal, $severity:ident, $check:expr) => {
        crate::lint::rules::Rule {
            name: $name,
            severity: crate::lint::Severity::$severity,
            page: include_str!(concat!("../../../docs/lint/", $name, ".md")),
            check: $check,
        }
    };
}

rules! {
    bool_comparison,
    cache_key,
    dead_file,
    deprecated_builtin,
    empty_inherit,
    empty_let,
    empty_list_concat,
    eta_reduction,
    feature_link,
    file_wide_with,
    firewall_off,
    firewall_wide,
    garbage_collection,
    has_attr_select,
    host_packages,
    host_service,
    import_from_derivation,
    impure_builtin,
    literal_secret,
    manual_inherit,
    many_mk_force,
    missing_file,
    mk_if_constant,
    mk_if_true,
    needless_parens,
    needless_rec,
    negated_comparison,
    nested_with,
    nix_env,
    option_description,
    option_type,
    option_value,
    read_dir_imports,
    redundant_pattern,
    search_path,
    secret_mode,
    secret_read,
    self_reference,
    service_root,
    ssh_password,
    ssh_root,
    state_version,
    state_version_changed,
    state_version_missing,
    unknown_host,
    unknown_option,
    unpinned_fetch,
    unused_argument,
    unused_binding,
    unused_parameter,
    unused_with,
    url_literal,
}

/// The name of the rule that looks for secrets.
pub(super) const SECRET: &str = literal_secret::RULE.name;
pub(super) use literal_secret::secrets;

#[cfg(test)]
mod tests;
