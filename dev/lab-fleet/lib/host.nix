# One element of nixosConfigurations or darwinConfigurations, with the attributes of a real one that a deployment asks for.
{
  name,
  file,
  toplevel,
}:
let
  inherit (import ./values.nix) read merge;
  values = read file;

  # About one second of CPU per unit with Nix 2.8. Hashing costs time and hardly any memory, so that many evaluations
  # at once measure what they are meant to.
  work =
    units:
    let
      text = builtins.foldl' (half: _: half + half) "x" (builtins.genList (number: number) 22);
      hash = builtins.hashString "sha512" text;
    in
    builtins.foldl' (_: _: builtins.stringLength (builtins.hashString "sha512" text)) hash (
      builtins.genList (round: round) (units * 270)
    );

  toplevelOf = own: import toplevel { inherit name merge; } own;

  checked =
    own:
    if own.evalError != null then
      throw own.evalError
    else if own.evalWork > 0 then
      builtins.seq (work own.evalWork) (toplevelOf own)
    else
      toplevelOf own;
in
{
  config = {
    inherit (values) age sops;
    networking.hostName = if values.hostName == null then name else values.hostName;
    nixpkgs.hostPlatform.system = values.system;
    system = {
      nixos.version = import ./version.nix;
      stateVersion = "25.11";
      build.toplevel = checked values;
    };
  };
  pkgs.system = values.system;
}
