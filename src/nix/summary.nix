# What is asked of a configuration. Forcing the two paths evaluates all of the system, with its assertions.
config:
let
  toplevel = config.system.build.toplevel;
  source = "@source@/";
  length = builtins.stringLength source;
  # Where a file stands in the flake, whose own place is another with every change; null for any other file.
  inSource =
    file:
    let
      place = builtins.unsafeDiscardStringContext (toString file);
    in
    if !(builtins.isPath file || builtins.isString file) then
      null
    else if builtins.substring 0 length place == source then
      builtins.substring length (-1) place
    else
      null;
  textOr = default: value: if builtins.isString value then value else default;
  # agenix's. Whatever else has this name is none of ours.
  secrets = config.age.secrets or { };
  identities = config.age.identityPaths or [ ];
  # sops-nix's.
  sops = config.sops or { };
  values = sops.secrets or { };
  valueOf =
    name:
    let
      value = values.${name};
    in
    {
      inherit name;
      file = inSource (value.sopsFile or (sops.defaultSopsFile or null));
      key = textOr name (value.key or null);
      format = textOr null (value.format or null);
      path = textOr null (value.path or null);
      mode = textOr null (value.mode or null);
      owner = textOr null (value.owner or null);
      group = textOr null (value.group or null);
    };
  hasAny = list: builtins.isList list && list != [ ];
  sshKeys = sops.age.sshKeyPaths or [ ];
  isOtherKey = name: builtins.match "SOPS_.*" name != null;
  environment = sops.environment or { };
in
{
  drv = toplevel.drvPath;
  out = toplevel.outPath;
  system = toplevel.system;
  hostName = config.networking.hostName or null;
  sealed = {
    secrets =
      if builtins.isAttrs secrets then
        map (name: {
          inherit name;
          file = inSource (secrets.${name}.file or null);
          path = textOr null (secrets.${name}.path or null);
          mode = textOr null (secrets.${name}.mode or null);
          owner = textOr null (secrets.${name}.owner or null);
          group = textOr null (secrets.${name}.group or null);
        }) (builtins.attrNames secrets)
      else
        [ ];
    identities = if builtins.isList identities then map toString identities else [ ];
    sops = {
      secrets = if builtins.isAttrs values then map valueOf (builtins.attrNames values) else [ ];
      sshKeys = if builtins.isList sshKeys then map toString sshKeys else [ ];
      # A key of age, also one that the host makes for itself, or what the environment of the activation names. Keys of PGP are
      # recipients of another kind.
      hasOtherKeys =
        (sops.age.keyFile or null) != null
        || hasAny (sops.age.plugins or [ ])
        || builtins.isAttrs environment && builtins.any isOtherKey (builtins.attrNames environment);
    };
  };
}
