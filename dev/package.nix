# The package of hubctl, to be called with nixpkgs' callPackage.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  makeWrapper,
  git,
  openssh,
}:
rustPlatform.buildRustPackage {
  pname = "hubctl";
  inherit ((lib.importTOML ../Cargo.toml).package) version;

  # What is not compiled does not make it be built anew.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      # The pages of rules are part of the program.
      ../docs/lint
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  cargoTestFlags = [ "--lib" ];

  nativeBuildInputs = [
    installShellFiles
    makeWrapper
  ];

  postInstall =
    lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      $out/bin/hubctl man --out man
      installManPage man/*
      for shell in bash fish zsh; do
        $out/bin/hubctl completions $shell >hubctl.$shell
      done
      installShellCompletion hubctl.bash hubctl.fish --zsh --name _hubctl hubctl.zsh
    ''
    # Behind the user's own, so that their ssh with its agent and their git are used where there are any.
    + ''
      wrapProgram $out/bin/hubctl --suffix PATH : ${
        lib.makeBinPath [
          git
          openssh
        ]
      }
    '';

  meta = {
    description = "Runs a fleet of NixOS and nix-darwin hosts from one flake";
    license = lib.licenses.mit;
    mainProgram = "hubctl";
    platforms = lib.platforms.unix;
  };
}
