# A derivation that is built by the machine's own shell and coreutils: no nixpkgs, and nothing to download.
system: name: script: environment:
derivation (
  environment
  // {
    inherit name system;
    builder = "/bin/sh";
    args = [
      "-euc"
      ''
        export PATH=/usr/bin:/bin:/run/current-system/sw/bin
        ${script}
      ''
    ];
    preferLocalBuild = true;
  }
)
