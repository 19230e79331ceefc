# Starts an activation in a transient unit, after checking that this is the right host and that nobody else activates.
answer() {{ printf 'hubctl-start:%s\n' "$*"; [ "$1" = started ]; exit; }}
PATH=$PATH:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/bin:/bin
unit=nixos-rebuild-switch-to-configuration
directory={directory}
toplevel={toplevel}
expected={hostname}
active() {{ case $(systemctl is-active "$unit.service") in active | activating | deactivating) ;; *) false ;; esac; }}
# This very activation may have begun over a connection that broke before it could say so.
[ -e "$directory/exit" ] && answer started
[ -e "$directory/run" ] && active && answer started
{boot_check}
[ ! -e "$directory" ] || rm -rf "$directory"
# Of all users, only root owns what is root's.
[ -O /proc/1 ] || answer not-root "$(id -u)"
read -r hostname </proc/sys/kernel/hostname
{lock_check}
[ -z "$expected" ] || [ "$hostname" = "$expected" ] || answer wrong-host "$hostname"
[ -d /run/systemd/system ] || answer no-systemd
[ -e "$toplevel/nixos-version" ] && [ -x "$toplevel/bin/switch-to-configuration" ] || answer not-a-system
active && answer busy
# The same lock that switch-to-configuration takes: whoever holds it activates by other means.
lock=/run/nixos/switch-to-configuration.lock
if [ -e "$lock" ] && command -v flock >/dev/null && ! flock --nonblock 9 9<"$lock"; then answer busy; fi

# What is in there is for root alone, but not whose lock it is.
[ -d /run/hubctl ] || (umask 022 && mkdir -p /run/hubctl)
umask 077
mkdir "$directory" || exit 1
printf '%s\n' {unit_script} >"$directory/new"
mv "$directory/new" "$directory/run"
{arm}
if ! said=$(systemd-run --unit="$unit" --collect --quiet --no-ask-password --service-type=exec \
  --setenv=PATH="$PATH" --setenv=LOCALE_ARCHIVE="${{LOCALE_ARCHIVE-}}" --setenv=NIXOS_INSTALL_BOOTLOADER=0 \
  --setenv=NIXOS_NO_CHECK="${{NIXOS_NO_CHECK-}}" \
  --property="Description=hubctl activates {toplevel}" /bin/sh "$directory/run" 2>&1); then
  {disarm}
  rm -rf "$directory"
  case $said in *already* | *exists*) answer busy ;; esac
  printf '%s\n' "$said" >&2
  exit 1
fi
answer started
