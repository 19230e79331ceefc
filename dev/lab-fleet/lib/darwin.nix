# The system of a host of darwin/, as nix-darwin lays it out: no kernel, no boot loader, and `activate` for all that is done.
{ name, ... }:
values:
let
  inherit (builtins) readFile toString;
  derive = import ./derive.nix values.system;
  version = import ./version.nix;
  onOff = value: if value then "1" else "";

  systemPath = derive "system-path" ''
    mkdir -p "$out/bin"
    for tool in nix nix-env nix-store nix-daemon; do
      ln -s "/nix/var/nix/profiles/default/bin/$tool" "$out/bin/$tool"
    done
  '' { };

  etc = derive "etc" ''
    mkdir "$out"
    printf '%s' "$motd" >"$out/lab-motd"
  '' { motd = values.sharedMotd + values.motd; };

  # Newer releases still have a script of this name, which nobody is to run, and which says so in its second line.
  deprecated = ''
    #!/bin/sh
    # nix-darwin: deprecated
    exit 1
  '';
  ofUser = ''
    #!/bin/sh
    [ "$(id -u)" != 0 ] || exit 1
    id -un >/tmp/lab-activated-by
  '';
in
derive "darwin-system-${version}"
  ''
    mkdir -p "$out/lab"
    printf '%s' "$version" >"$out/darwin-version"
    printf '%s' "$out" >"$out/systemConfig"
    printf '%s' "$system" >"$out/system"
    printf '%s' "$behaviour" >"$out/lab/behaviour"
    ln -s "$systemPath" "$out/sw"
    ln -s "$etc" "$out/etc"
    script() {
      printf '%s' "$2" | sed "s|@out@|$out|g" >"$out/$1"
      chmod 755 "$out/$1"
    }
    script activate "$activate"
    script activate-user "$activateUser"
  ''
  {
    inherit version systemPath etc;
    activate = readFile ./darwin-activate.sh;
    activateUser = if values.darwin.activateUser then ofUser else deprecated;
    behaviour = ''
      name='${name}'
      fails='${if values.activation.exit == 0 then "" else "1"}'
      seconds='${toString values.activation.seconds}'
      cut_network='${onOff values.activation.cutNetwork}'
      stop_sshd='${onOff values.activation.stopSshd}'
      hang='${onOff values.activation.hang}'
      reboot='${onOff values.activation.reboot}'
    '';
  }
