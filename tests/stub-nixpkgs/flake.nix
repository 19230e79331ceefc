{
  description = "As much of nixpkgs as the flake and the package of hubctl use, each function giving back what it was given";

  outputs =
    _:
    let
      lib = {
        inherit (builtins) mapAttrs;
        genAttrs =
          names: f:
          builtins.listToAttrs (
            map (name: {
              inherit name;
              value = f name;
            }) names
          );
        importTOML = file: builtins.fromTOML (builtins.readFile file);
        optionalString = condition: text: if condition then text else "";
        makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "/stub/${package.name}/bin") packages);
        fileset = {
          unions = files: assert builtins.all builtins.pathExists files; map toString files;
          toSource = { root, fileset }: { inherit root fileset; };
        };
        licenses.mit.spdxId = "MIT";
        platforms.unix = [ "unix" ];
      };

      packagesOf =
        system:
        let
          named = name: derivation {
            inherit name system;
            builder = "/bin/sh";
          };
          recorded = name: arguments: named name // { inherit arguments; };
          names = [
            "cargo-nextest"
            "clippy"
            "git"
            "installShellFiles"
            "jq"
            "makeWrapper"
            "openssh"
            "rustfmt"
            "shellcheck"
            "tmux"
          ];
          pkgs = lib.genAttrs names named // {
            inherit lib;
            stdenv = {
              hostPlatform.system = system;
              buildPlatform.canExecute = host: host.system == system;
            };
            rustPlatform.buildRustPackage = arguments: recorded arguments.pname arguments;
            mkShell = recorded "shell";
            runCommand =
              name: arguments: script:
              recorded name (arguments // { inherit script; });
            callPackage =
              file: overrides:
              let
                function = import file;
              in
              function (builtins.intersectAttrs (builtins.functionArgs function) pkgs // overrides);
          };
        in
        pkgs;
    in
    {
      inherit lib;
      # Nixpkgs has systems that hubctl does not name, and will drop one that it does.
      legacyPackages = lib.genAttrs [
        "aarch64-darwin"
        "aarch64-linux"
        "riscv64-linux"
        "x86_64-linux"
      ] packagesOf;
    };
}
