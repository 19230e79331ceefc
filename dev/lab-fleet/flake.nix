{
  description = "The lab's fleet: hosts that keep NixOS's contract, from plain derivations and without nixpkgs";

  # A host is whatever has a folder in hosts/. Only the names are read here: each host's files are opened when that host
  # is evaluated and not before, so that an edit of one host's file concerns that host alone.
  outputs =
    _:
    let
      hosts = builtins.readDir ./hosts;
      isHost = name: hosts.${name} == "directory";
      names = builtins.filter isHost (builtins.attrNames hosts);
      evalHost = import ./lib/host.nix;
    in
    {
      nixosConfigurations = builtins.listToAttrs (
        map (name: {
          inherit name;
          value = evalHost {
            inherit name;
            file = ./hosts + "/${name}";
          };
        }) names
      );
    };
}
