{
  imports = [
    ../../shared/common.nix
    ../../shared/laptop.nix
  ];
  motd = builtins.readFile ./motd.txt;
}
