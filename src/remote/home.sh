# What every platform has in its own way, for home-manager: a user's own files on a host of whatever kind, and no root.
plain=$PATH
PATH=$PATH:$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin
state=${XDG_STATE_HOME:-$HOME/.local/state}
hub=$state/nix/hubctl
roots=$state/nix/hubctl-roots
# Where home-manager has its profile, or will have it: it moves one of the older place to the newer one.
shared=/nix/var/nix/profiles/per-user/$(id -un)
profile=$state/nix/profiles/home-manager
[ -e "$profile" ] || [ -d "${profile%/*}" ] || [ ! -d "$shared" ] || profile=$shared/home-manager
boot_id() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.bootsessionuuid; }
host_name() { :; }
machine_id() { cat /etc/machine-id 2>/dev/null || ioreg -rd1 -c IOPlatformExpertDevice | sed -n 's/.*"IOPlatformUUID" = "\(.*\)".*/\1/p'; }
up_for() { sed 's/\..*//' /proc/uptime; }
battery() { :; }
# What it activated last, which it keeps from being collected.
runs() {
  for link in "$state/home-manager/gcroots/current-home" "/nix/var/nix/gcroots/per-user/$(id -un)/current-home" "$profile"; do
    [ ! -e "$link" ] || { real "$link" && return; }
  done
}
objects() { [ -x "$1/activate" ] && [ -e "$1/home-files" ] || echo not-a-system; }
activate() { "$1/activate"; }
hold() { nix-store --realise "$2" --add-root "$roots/hubctl-$1" --indirect >/dev/null; }
