//! The names that are defined everywhere.
//!
//! Source: the Nix manual, "Built-ins", of 2.8 to 2.31. A built-in function that has no name of its own is also found by its name
//! with two underscores in front.

/// Whether Nix knows `name` in every file.
pub(super) fn is_global(name: &str) -> bool {
    let hidden = name.strip_prefix("__").is_some_and(|bare| HIDDEN.binary_search(&bare).is_ok());
    hidden || GLOBAL.binary_search(&name).is_ok()
}

/// All names that are not hidden behind underscores.
pub(super) fn plain<'a>() -> impl Iterator<Item = &'a str> {
    GLOBAL.iter().copied()
}

/// In the order of their names.
const GLOBAL: &[&str] = &[
    "abort",
    "baseNameOf",
    "break",
    "builtins",
    "derivation",
    "derivationStrict",
    "dirOf",
    "false",
    "fetchGit",
    "fetchMercurial",
    "fetchTarball",
    "fetchTree",
    "fromTOML",
    "import",
    "isNull",
    "map",
    "null",
    "placeholder",
    "removeAttrs",
    "scopedImport",
    "throw",
    "toString",
    "true",
];

/// In the order of their names.
const HIDDEN: &[&str] = &[
    "add",
    "addDrvOutputDependencies",
    "addErrorContext",
    "all",
    "any",
    "appendContext",
    "attrNames",
    "attrValues",
    "bitAnd",
    "bitOr",
    "bitXor",
    "catAttrs",
    "ceil",
    "compareVersions",
    "concatLists",
    "concatMap",
    "concatStringsSep",
    "convertHash",
    "curPos",
    "currentSystem",
    "currentTime",
    "deepSeq",
    "div",
    "elem",
    "elemAt",
    "exec",
    "fetchClosure",
    "fetchFinalTree",
    "fetchurl",
    "filter",
    "filterAttrs",
    "filterSource",
    "findFile",
    "flakeRefToString",
    "floor",
    "foldl'",
    "fromJSON",
    "functionArgs",
    "genList",
    "genericClosure",
    "getAttr",
    "getContext",
    "getEnv",
    "getFlake",
    "groupBy",
    "hasAttr",
    "hasContext",
    "hashFile",
    "hashString",
    "head",
    "importNative",
    "intersectAttrs",
    "isAttrs",
    "isBool",
    "isFloat",
    "isFunction",
    "isInt",
    "isList",
    "isPath",
    "isString",
    "langVersion",
    "length",
    "lessThan",
    "listToAttrs",
    "mapAttrs",
    "match",
    "mul",
    "nixPath",
    "nixVersion",
    "outputOf",
    "parseDrvName",
    "parseFlakeRef",
    "partition",
    "path",
    "pathExists",
    "readDir",
    "readFile",
    "readFileType",
    "replaceStrings",
    "seq",
    "sort",
    "split",
    "splitVersion",
    "storeDir",
    "storePath",
    "stringLength",
    "sub",
    "substring",
    "tail",
    "toFile",
    "toJSON",
    "toPath",
    "toXML",
    "trace",
    "traceVerbose",
    "tryEval",
    "typeOf",
    "unsafeDiscardOutputDependency",
    "unsafeDiscardStringContext",
    "unsafeGetAttrPos",
    "warn",
    "zipAttrsWith",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order_and_are_found_in() {
        assert!(GLOBAL.is_sorted() && HIDDEN.is_sorted());
        for name in ["true", "__nixPath", "__foldl'", "map"] {
            assert!(is_global(name), "{name}");
        }
        for name in ["__map", "lib", "__", "nixPath"] {
            assert!(!is_global(name), "{name}");
        }
    }
}
