system:
let
  names = builtins.fromJSON "@names@";
  count = builtins.length names;

  # What JSON has no form for is named, and what lies deep left out.
  show =
    depth: value:
    let
      kind = builtins.typeOf value;
    in
    if kind == "lambda" then
      "<function>"
    else if kind == "path" then
      toString value
    else if kind == "set" && (value.type or null) == "derivation" then
      "<derivation ${value.name or "?"}>"
    else if kind == "set" then
      (if depth == 0 then "<set>" else builtins.mapAttrs (_: shown (depth - 1)) value)
    else if kind == "list" then
      (if depth == 0 then "<list>" else map (shown (depth - 1)) value)
    else
      value;
  shown =
    depth: value:
    let
      tried = builtins.tryEval (
        let
          all = show depth value;
        in
        builtins.deepSeq all all
      );
    in
    if tried.success then tried.value else "<error>";

  # Follows names into a set as far as they lead, but not into an option.
  follow =
    set: depth:
    if depth < count && !(isOption set) && builtins.isAttrs set && set ? ${builtins.elemAt names depth} then
      follow set.${builtins.elemAt names depth} (depth + 1)
    else
      { inherit set depth; };
  isOption = value: builtins.isAttrs value && (value._type or null) == "option";
  found = follow system.options 0;
  option = found.set;

  into =
    value: depth:
    if depth == count then
      { inherit value; }
    else if builtins.isAttrs value && value ? ${builtins.elemAt names depth} then
      into value.${builtins.elemAt names depth} (depth + 1)
    else
      null;
  inner = into option.value found.depth;

  text = value: if builtins.isString value then value else value.text or null;
  zipped = builtins.genList (at: {
    file = builtins.elemAt option.files at;
    value = builtins.elemAt option.definitions at;
  }) (builtins.length (option.files or [ ]));
in
if !(system ? options) then
  { kind = "no-options"; }
else if isOption option && inner != null then
  {
    kind = "option";
    inherit (found) depth;
    value = shown 4 inner.value;
    isDefined = option.isDefined or true;
    type = option.type.description or null;
    description = text (option.description or null);
    priority = option.highestPrio or null;
    definitions = map (one: {
      file = toString one.file;
      value = shown 4 one.value;
    }) (option.definitionsWithLocations or zipped);
    declarations = map (one: {
      file = toString (one.file or one);
      line = one.line or null;
    }) (option.declarationPositions or option.declarations or [ ]);
  }
else if isOption option then
  {
    kind = "absent";
    inherit (found) depth;
    names = if builtins.isAttrs option.value then builtins.attrNames option.value else [ ];
  }
else if found.depth == count then
  {
    kind = "set";
    names = builtins.attrNames option;
  }
else
  {
    kind = "absent";
    inherit (found) depth;
    names = if builtins.isAttrs option then builtins.attrNames option else [ ];
  }
