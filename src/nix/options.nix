system:
let
  own = "@source@";
  isOption = value: builtins.isAttrs value && (value._type or null) == "option";
  orElse =
    fallback: value:
    let
      tried = builtins.tryEval value;
    in
    if tried.success then tried.value else fallback;

  # The name of a type with those of the types in it behind it.
  typeName =
    depth: type:
    let
      name = type.name or "unspecified";
      inner = type.nestedTypes or { };
      of = part: typeName (depth - 1) inner.${part};
      payload = type.functor.payload or [ ];
      # Before types had names for those in them.
      wrapped = type.functor.wrapped or null;
      values = if builtins.isList payload then payload else payload.values or [ ];
      isPlain = value: builtins.elem (builtins.typeOf value) [ "string" "int" "bool" "null" ];
    in
    if depth == 0 || !(builtins.isAttrs type) then
      "unspecified"
    else if name == "enum" then
      "enum ${builtins.toJSON (if builtins.all isPlain values then values else [ ])}"
    else if inner ? elemType then
      "${name} ${of "elemType"}"
    else if inner ? left && inner ? right then
      "${name} ${of "left"} ${of "right"}"
    else if inner ? coercedType && inner ? finalType then
      "${name} ${of "coercedType"} ${of "finalType"}"
    else if builtins.isAttrs wrapped then
      "${name} ${typeName (depth - 1) wrapped}"
    else if builtins.isList wrapped && name == "either" then
      "${name} ${builtins.concatStringsSep " " (map (typeName (depth - 1)) wrapped)}"
    else
      name;

  # What the flake itself declares is read from its files, as they are by then.
  isOwn =
    option:
    let
      files = map toString (option.declarations or [ ]);
      within = file: builtins.substring 0 (builtins.stringLength own) file == own;
    in
    files != [ ] && builtins.all within files;

  named = path: builtins.replaceStrings [ "<name?>" ] [ "<name>" ] (builtins.concatStringsSep "." path);
  look =
    depth: path: option:
    let
      loc = option.loc or path;
      below = orElse { } ((option.type.getSubOptions or (_: { })) loc);
      self = {
        name = named loc;
        value = orElse "unspecified" (typeName 6 (option.type or { }));
      };
    in
    if orElse false (isOwn option) then
      [ ]
    else
      [ self ] ++ (if depth > 0 && (option.visible or true) == true then all (depth - 1) loc below else [ ]);

  all =
    depth: path: options:
    builtins.concatMap (
      part:
      let
        here = path ++ [ part ];
      in
      if part == "_module" then
        [ ]
      else if isOption options.${part} then
        look depth here options.${part}
      else if builtins.isAttrs options.${part} then
        all depth here options.${part}
      else
        [ ]
    ) (builtins.attrNames options);
in
builtins.listToAttrs (all 6 [ ] (system.options or { }))
