# A user's home as home-manager has it: `activate` links the files, and makes itself a generation of the user's profile.
{ name, ... }:
values:
let
  derive = import ./derive.nix values.system;
  files = derive "home-manager-files" ''
    mkdir "$out"
    printf '%s' "$motd" >"$out/.lab-motd"
  '' { motd = values.sharedMotd + values.motd; };
in
derive "home-manager-generation"
  ''
    mkdir "$out"
    ln -s "$files" "$out/home-files"
    printf '%s' "$version" >"$out/hm-version"
    printf '%s' "$activate" | sed "s|@out@|$out|g; s|@user@|$user|g; s|@seconds@|$seconds|g; s|@exit@|$exit|g" >"$out/activate"
    chmod 755 "$out/activate"
  ''
  {
    inherit files;
    version = import ./version.nix;
    user = builtins.head (builtins.split "@" name);
    seconds = builtins.toString values.activation.seconds;
    exit = builtins.toString values.activation.exit;
    activate = builtins.readFile ./home-activate.sh;
  }
