# Asks a host without systemd what it runs, as probe.sh asks NixOS. A key without a line is not known.
say() { [ -n "$2" ] && printf '%s=%s\n' "$1" "$2"; }
say probe 1
say hostname "$(host_name 2>/dev/null)"
say machine-id "$(machine_id 2>/dev/null)"
say boot-id "$(boot_id 2>/dev/null)"
say uptime "$(up_for 2>/dev/null)"
say system "$(uname -m)-$(uname -s)"
say uid "$(id -u)"
now=$(date +%s)
say now "$now"
say current "$(runs)"
say profile "$(real "$profile")"
generation=$(readlink "$profile" 2>/dev/null)
say generation "$generation"
[ -n "$generation" ] && say generation-made "$(changed "${profile%/*}/${generation##*/}" 2>/dev/null)"
[ -d /nix/store ] && say store-space "$(df -kP /nix/store 2>/dev/null | tail -n 1)"
say discharging "$(battery 2>/dev/null)"
set -- "$roots"/hubctl-*
{ [ -d "$hub" ] || [ -L "$1" ]; } && say remains 1
if [ -L "$hub/lock" ]; then
  # It may be given back at this very moment.
  seen=$(changed "$hub/lock" 2>/dev/null) && say lock "$((now - seen)) $(readlink "$hub/lock")"
fi
[ -r "$hub/reverted" ] && say reverted "$(head -n 1 "$hub/reverted")"
activating && say activating hubctl
nix=$(
  PATH=$plain
  command -v nix-daemon || command -v nix-store
)
if [ -z "$nix" ]; then
  nix=$(command -v nix-daemon || command -v nix-store)
  say nix-directory "${nix%/*}"
fi
say nix "$nix"
:
