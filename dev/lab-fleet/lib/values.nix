# Reads a host's file and what it imports, checks every value against the defaults, and merges: defaults, then imports in
# their order, then the file itself.
let
  defaults = import ./defaults.nix;
  unitDefaults = import ./unit-defaults.nix;

  show = builtins.concatStringsSep ", ";
  isNamed = path: path == "units" || path == "specialisations" || path == "age" || path == "sops";

  # Sets are merged, everything else is replaced.
  merge =
    old: new:
    old
    // builtins.mapAttrs (
      name: value:
      if old ? ${name} && builtins.isAttrs old.${name} && builtins.isAttrs value then
        merge old.${name} value
      else
        value
    ) new;

  # check WHERE KNOWN VALUES: VALUES, or an error that names the file and what may stand there.
  check =
    where: known: values:
    builtins.mapAttrs (
      name: value:
      let
        default = known.${name};
        want = builtins.typeOf default;
        have = builtins.typeOf value;
      in
      if !known ? ${name} then
        throw "${where}: there is no value '${name}'; known here: ${show (builtins.attrNames known)}"
      else if default == null && (value == null || builtins.isString value) then
        value
      else if default != null && want == have then
        checkNested "${where}: ${name}" name default value
      else
        throw "${where}: '${name}' is of type ${have}, and has to be ${if default == null then "a string or null" else "of type ${want}"}"
    ) values;

  checkNested =
    where: name: default: value:
    if name == "units" then
      builtins.mapAttrs (unit: check "${where}.${unit}" unitDefaults) value
    else if name == "specialisations" then
      builtins.mapAttrs (
        specialisation: check "${where}.${specialisation}" (removeAttrs defaults [ "specialisations" ])
      ) value
    else if builtins.isAttrs default && !isNamed name then
      check where default value
    else
      value;

  load =
    file:
    let
      values = import file;
      # The path within the fleet, without the place of the source, which is another with every change.
      where = builtins.head (builtins.match ".*/([^/]+/[^/]+)" (toString file));
      imported = builtins.foldl' merge { } (map load (values.imports or [ ]));
    in
    merge imported (check where defaults (removeAttrs values [ "imports" ]));

  # All values are looked at, also those that the host happens not to use: a misspelt one must not pass unseen.
  complete =
    values:
    let
      exits = [
        0
        2
        4
        100
      ];
      exit = values.activation.exit;
    in
    builtins.deepSeq values (
      if builtins.elem exit exits then
        values
      else
        throw "activation.exit is ${toString exit}, and has to be one of ${show (map toString exits)}"
    );
in
{
  inherit merge;
  read = file: complete (merge defaults (load file));
}
