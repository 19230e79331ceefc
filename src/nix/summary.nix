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
  # agenix's. Whatever else has this name is none of ours.
  secrets = config.age.secrets or { };
  identities = config.age.identityPaths or [ ];
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
        }) (builtins.attrNames secrets)
      else
        [ ];
    identities = if builtins.isList identities then map toString identities else [ ];
  };
}
