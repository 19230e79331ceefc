{
  description = "The lab's fleet: hosts that keep NixOS's contract, from plain derivations and without nixpkgs";

  # A host is whatever has a folder in hosts/, and in darwin/ and home/ where there are such. Only the names are read here: each host's files
  # are opened when that host is evaluated and not before, so that an edit of one host's file concerns that host alone.
  outputs =
    _:
    let
      hostsIn =
        folder: entries: toplevel:
        let
          isHost = name: entries.${name} == "directory";
          names = builtins.filter isHost (builtins.attrNames entries);
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
      darwin = if builtins.pathExists ./darwin then builtins.readDir ./darwin else { };
      homes = if builtins.pathExists ./home then builtins.readDir ./home else { };
    in
    {
      nixosConfigurations = hostsIn ./hosts (builtins.readDir ./hosts) ./lib/toplevel.nix;
      darwinConfigurations = hostsIn ./darwin darwin ./lib/darwin.nix;
      homeConfigurations = builtins.mapAttrs (_: home: { activationPackage = home.config.system.build.toplevel; }) (
        hostsIn ./home homes ./lib/home.nix
      );
    };
}
