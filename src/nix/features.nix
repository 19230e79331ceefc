system:
let
  isOption = value: builtins.isAttrs value && (value._type or null) == "option";
  texts = value: if builtins.isList value then builtins.filter builtins.isString value else [ ];

  # A feature is a boolean option. What its declaration has beside its type is kept by the module system.
  look =
    option:
    let
      tried = builtins.tryEval (option.value or false);
    in
    {
      enabled = tried.success && tried.value == true;
      requires = texts (option.requires or null);
      conflicts = texts (option.conflicts or null);
      belongsTo = texts (option.belongsTo or null);
    };

  name = path: builtins.concatStringsSep "." path;
  all =
    path: options:
    builtins.concatMap (
      part:
      let
        option = options.${part};
        here = if part == "enable" && path != [ ] then path else path ++ [ part ];
      in
      if isOption option then
        (
          if (option.type.name or null) == "bool" then
            [
              {
                name = name here;
                value = look option;
              }
            ]
          else
            [ ]
        )
      else if builtins.isAttrs option then
        all (path ++ [ part ]) option
      else
        [ ]
    ) (builtins.attrNames options);
in
builtins.listToAttrs (all [ ] (system.options.features or { }))
