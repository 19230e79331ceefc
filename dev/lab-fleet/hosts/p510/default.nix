{
  imports = [ ../../shared/common.nix ];
  motd = builtins.readFile ./motd.txt;
  units.web = {
    description = "The web server";
    marker = "one";
  };
  units.media.description = "The media server";
}
