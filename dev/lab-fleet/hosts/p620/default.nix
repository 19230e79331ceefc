{
  imports = [ ../../shared/common.nix ];
  motd = builtins.readFile ./motd.txt;
  units.build-cache.description = "Serves what was built here";
  specialisations.gaming = {
    kernelParams = [ "mitigations=off" ];
    units.game-mode.description = "Keeps the frame rate up";
  };
}
