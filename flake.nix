{
  description = "hubctl runs a fleet of NixOS and nix-darwin hosts from one flake";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      # A system that nixpkgs has dropped drops out here too.
      systems = lib.genAttrs [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ] (_: null);
      forAllSystems = function: lib.mapAttrs function (builtins.intersectAttrs systems nixpkgs.legacyPackages);
    in
    {
      packages = forAllSystems (
        _: pkgs: {
          default = pkgs.callPackage ./dev/package.nix { };
        }
      );

      apps = forAllSystems (
        system: _: {
          default = {
            type = "app";
            program = "${self.packages.${system}.default}/bin/hubctl";
            meta.description = "Runs a fleet of NixOS and nix-darwin hosts from one flake";
          };
        }
      );

      # Building the package runs its unit tests. The tests against the lab need root and a network: dev/test.
      checks = forAllSystems (
        system: pkgs: {
          package = self.packages.${system}.default;
          format = pkgs.runCommand "hubctl-format" { nativeBuildInputs = [ pkgs.rustfmt ]; } ''
            rustfmt --check --edition 2024 --config-path ${./rustfmt.toml} ${./src}/main.rs ${./src}/lib.rs
            touch $out
          '';
        }
      );

      devShells = forAllSystems (
        system: pkgs: {
          default = pkgs.mkShell {
            inputsFrom = [ self.packages.${system}.default ];
            packages = [ pkgs.clippy pkgs.rustfmt pkgs.cargo-nextest pkgs.shellcheck pkgs.jq pkgs.tmux ];
          };
        }
      );
    };
}
