{
  description = "The lab's fleet: hosts that keep NixOS's contract, from plain derivations and without nixpkgs";

  # A host is whatever has a folder in hosts/, and in darwin/ where there is one. Only the names are read here: each host's files
  # are opened when that host is evaluated and not before, so that an edit of one host's file concerns that host alone.
  outputs =
    _:
    let
      hostsIn =
        folder: toplevel:
        let
          hosts = builtins.readDir folder;
          isHost = name: hosts.${name} == "directory";
          names = builtins.filter isHost (builtins.attrNames hosts);
        in
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = import ./lib/host.nix {
              inherit name toplevel;
              file = folder + "/${name}";
            };
          }) names
        );
    in
    {
      nixosConfigurations = hostsIn ./hosts ./lib/toplevel.nix;
      darwinConfigurations = if builtins.pathExists ./darwin then hostsIn ./darwin ./lib/darwin.nix else { };
    };
}
