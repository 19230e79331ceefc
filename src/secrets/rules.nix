# What hubctl wants to know of the rules in `file`, however they are written.
{ file }:
let
  rules = import (/. + file);
  described =
    name:
    let
      value = rules.${name};
      position = builtins.unsafeGetAttrPos name rules;
      known = if builtins.isAttrs value then value else { };
    in
    {
      line = if position == null then 0 else position.line or 0;
      keys = known.publicKeys or null;
      armor = known.armor or false;
    };
in
if builtins.isAttrs rules then builtins.mapAttrs (name: _: described name) rules else builtins.typeOf rules
