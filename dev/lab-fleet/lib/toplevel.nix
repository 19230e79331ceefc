# A host's system, as NixOS lays it out: etc, system-path, kernel and initrd are store paths of their own.
{ name, merge }:
values:
let
  inherit (builtins)
    attrNames
    attrValues
    concatStringsSep
    mapAttrs
    readFile
    toString
    ;
  derive = import ./derive.nix values.system;
  version = import ./version.nix;
  hostName = if values.hostName == null then name else values.hostName;

  quote = text: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";
  # A list of words as shell arguments.
  quoted = list: concatStringsSep " " (map quote list);
  shellValue =
    value:
    if builtins.isBool value then
      (if value then "1" else "''")
    else if value == null then
      "''"
    else
      quote (toString value);

  # One MiB that does not compress, the same on every machine with the same gzip.
  noise = derive "noise" ''
    seq 1 1000000 | gzip -n | head -c 1048576 >"$out"
  '' { };

  kernel = derive "linux-${values.kernel}" ''
    mkdir -p "$out/lib/modules/$version"
    { printf 'Linux %s\n' "$version"; head -c 65536 "$noise"; } >"$out/bzImage"
  '' {
    inherit noise;
    version = values.kernel;
  };

  initrd = derive "initrd-linux-${values.kernel}" ''
    mkdir "$out"
    i=0
    while [ "$i" -lt "$size" ]; do
      printf 'initrd of Linux %s, part %s\n' "$version" "$i"
      cat "$noise"
      i=$((i + 1))
    done >"$out/initrd"
  '' {
    inherit noise;
    size = values.initrdMiB;
    version = values.kernel;
  };

  systemPath = derive "system-path" ''
    mkdir -p "$out/bin"
    printf '#!/bin/sh\necho %s\n' "$version" >"$out/bin/nixos-version"
    chmod 755 "$out/bin/nixos-version"
    # The host's own programs, under the path where NixOS has them.
    for tool in sh bash cat chmod date ln ls mkdir mv readlink rm rmdir sleep systemctl journalctl systemd-run nix nix-env nix-store nix-daemon; do
      ln -s "/usr/bin/$tool" "$out/bin/$tool"
    done
    if [ -n "$bootctl" ]; then
      printf '%s' "$bootctl" >"$out/bin/bootctl"
      chmod 755 "$out/bin/bootctl"
    fi
  '' {
    inherit version;
    bootctl = if values.boot.oneTime then readFile ./bootctl.sh else "";
  };

  ownUnits = mapAttrs (_: unit: import ./unit-defaults.nix // unit) values.units;
  units = mapAttrs (import ./unit.nix derive) ownUnits;
  wanted = builtins.filter (unit: ownUnits.${unit}.wanted) (attrNames units);

  etc = derive "etc" ''
    mkdir -p "$out/systemd/system/multi-user.target.wants"
    printf '%s\n' "$hostName" >"$out/hostname"
    printf '%s' "$motd" >"$out/lab-motd"
    for unit in $units; do
      ln -s "$unit"/*.service "$out/systemd/system/"
    done
    for name in $wanted; do
      ln -s "../$name.service" "$out/systemd/system/multi-user.target.wants/$name.service"
    done
  '' {
    inherit hostName;
    motd = values.sharedMotd + values.motd;
    units = attrValues units;
    inherit wanted;
  };

  # What NixOS has for users, a firewall and secrets, as far as a system tells of it; nothing of that is done.
  named = map (name: { inherit name; });
  usersGroups = derive "users-groups.json" ''
    printf '%s' "$text" >"$out"
  '' {
    text = builtins.toJSON {
      users = named values.users;
      groups = named values.groups;
    };
  };
  firewall = derive "firewall-start" ''
    mkdir -p "$out/bin"
    for port in $ports; do
      echo "ip46tables -A nixos-fw -p tcp --dport $port -j nixos-fw-accept"
    done >"$out/bin/firewall-start"
  '' { ports = map toString values.openPorts; };
  secret = name: ''_truePath="/run/agenix.d/$_agenix_generation/${name}"'';
  parts =
    (if values.users ++ values.groups == [ ] then [ ] else [ "echo 'users are those of ${usersGroups}'" ])
    ++ (if values.openPorts == [ ] then [ ] else [ "echo 'ports are those of ${firewall}'" ])
    ++ [ "_agenix_generation=1" ]
    ++ map secret values.secrets;

  payload = derive "payload-${hostName}" ''
    i=0
    while [ "$i" -lt "$size" ]; do
      printf '%s %s %s\n' "$hostName" "$seed" "$i"
      cat "$noise"
      i=$((i + 1))
    done >"$out"
  '' {
    inherit hostName noise;
    size = values.closureMiB;
    seed = values.closureSeed;
  };

  # Part of the build only, and not of the closure: what a slow or broken package is to a real host.
  inherit (values) build;
  application = derive "lab-app-${hostName}" ''
    i=0
    while [ "$i" -lt "$logLines" ]; do
      i=$((i + 1))
      echo "compiling part $i of $logLines"
    done
    sleep "$seconds"
    if [ -n "$fail" ]; then
      printf '%s\n' "$failMessage" >&2
      exit 1
    fi
    : >"$out"
  '' {
    inherit (build)
      seconds
      logLines
      fail
      failMessage
      ;
    motd = values.motd;
  };
  buildsApplication = build.seconds > 0 || build.logLines > 0 || build.fail;

  specialisations = mapAttrs (
    _: own: import ./toplevel.nix { inherit name merge; } (merge (values // { specialisations = { }; }) own)
  ) values.specialisations;

  behaviourOf =
    of:
    concatStringsSep "" (
      attrValues (mapAttrs (key: value: "${of}_${key}=${shellValue value}\n") values.${of})
    );
  behaviour = behaviourOf "activation" + behaviourOf "boot";
in
derive "nixos-system-${hostName}-${version}"
  ''
    mkdir -p "$out/bin" "$out/lab" "$out/specialisation"
    printf '%s' "$version" >"$out/nixos-version"
    printf '%s' "$system" >"$out/system"
    printf '%s' "$kernelParams" >"$out/kernel-params"
    printf '%s\n' "$initInterface" >"$out/init-interface-version"
    printf '%s' "$behaviour" >"$out/lab/behaviour"
    ln -s "$kernel/bzImage" "$out/kernel"
    ln -s "$kernel" "$out/kernel-modules"
    ln -s "$initrd/initrd" "$out/initrd"
    ln -s "$systemPath" "$out/sw"
    ln -s "$etc" "$out/etc"
    if [ -n "$payload" ]; then ln -s "$payload" "$out/lab/payload"; fi
    eval "set -- $specialisations"
    while [ $# -gt 0 ]; do
      ln -s "$2" "$out/specialisation/$1"
      shift 2
    done
    script() {
      printf '%s' "$2" | sed "s|@out@|$out|g" >"$out/$1"
      chmod 755 "$out/$1"
    }
    script init "$init"
    script activate "$activate"
    script bin/switch-to-configuration "$switch"
    script lab/install-bootloader "$bootloader"
  ''
  {
    inherit
      version
      kernel
      initrd
      systemPath
      etc
      behaviour
      ;
    kernelParams = concatStringsSep " " values.kernelParams;
    initInterface = if values.activation.exit == 100 then "lab 2" else "lab 1";
    payload = if values.closureMiB > 0 then payload else "";
    application = if buildsApplication then application else "";
    specialisations = quoted (
      builtins.concatMap (key: [
        key
        "${specialisations.${key}}"
      ]) (attrNames specialisations)
    );
    init = readFile ./init.sh;
    activate = builtins.replaceStrings [ "@parts@" ] [ (concatStringsSep "\n" parts) ] (readFile ./activate.sh);
    switch = readFile ./switch-to-configuration.sh;
    bootloader = readFile ./install-bootloader.sh;
  }
