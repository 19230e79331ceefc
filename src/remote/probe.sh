# Asks a host what it runs, in one go and changing nothing. Prints lines of `key=value`; a key without a line is not known.
say() { [ -n "$2" ] && printf '%s=%s\n' "$1" "$2"; }
resolve() { [ -e "$1" ] && readlink -f "$1"; }
say probe 1
say hostname "$(cat /proc/sys/kernel/hostname 2>/dev/null || hostname -s 2>/dev/null)"
say machine-id "$(cat /etc/machine-id 2>/dev/null)"
say boot-id "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
say uptime "$(cut -d. -f1 /proc/uptime 2>/dev/null)"
say system "$(uname -m)-$(uname -s)"
say uid "$(id -u)"
say now "$(date +%s)"
current=$(resolve /run/current-system)
booted=$(resolve /run/booted-system)
profile=$(resolve /nix/var/nix/profiles/system)
say current "$current"
say booted "$booted"
say profile "$profile"
say generation "$(readlink /nix/var/nix/profiles/system 2>/dev/null)"
if [ -n "$booted" ] && [ -n "$current" ] && [ "$booted" != "$current" ]; then
  for part in kernel initrd kernel-modules; do
    [ "$(resolve "$booted/$part")" = "$(resolve "$current/$part")" ] || say reboot "$part"
  done
  [ "$(cat "$booted/kernel-params" 2>/dev/null)" = "$(cat "$current/kernel-params" 2>/dev/null)" ] || say reboot kernel-params
fi
say store-space "$(df -kP /nix/store 2>/dev/null | tail -n 1)"
[ -d /boot ] && say boot-space "$(df -kP /boot 2>/dev/null | tail -n 1)"
[ -d /run/systemd/system ] && say systemd 1
unit=$(systemctl show --property=ActiveState --property=Description nixos-rebuild-switch-to-configuration.service 2>/dev/null)
case $unit in
  *ActiveState=active* | *ActiveState=activating* | *ActiveState=deactivating*)
    # The description is what a user without rights sees of who began it.
    case $unit in *'Description=hubctl '*) say activating hubctl ;; *) say activating other ;; esac
    ;;
esac
[ -d /run/hubctl ] && say remains 1
# The plan that a switch leaves behind when it does not come to its end; while one is under way it is as it should be.
for plan in start restart reload; do
  [ -s "/run/nixos/$plan-list" ] && interrupted=1
done
say interrupted "$interrupted"
for unit in $(systemctl list-units --state=failed --plain --no-legend --no-pager 2>/dev/null | cut -d' ' -f1); do
  say failed-unit "$unit"
done
say nix "$(command -v nix-daemon || command -v nix-store)"
:
