#!/bin/sh
# Boots this system: what stage 2 does on NixOS before it hands over to systemd.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
export PATH

system=@out@
# shellcheck disable=SC1091 # made with the system.
. "$system/lab/behaviour"
if [ -n "${boot_panic:-}" ]; then
  # As a kernel that panics, and the watchdog that notices.
  systemctl reboot --force --force
  sleep infinity
fi
mkdir -p /nix/var/nix/gcroots
ln -sfn "$system" /run/booted-system
ln -sfn /run/booted-system /nix/var/nix/gcroots/booted-system
LAB_BOOTING=1 "$system/activate" || echo "activation failed with status $?, booting on" >&2
systemctl daemon-reload

# systemd runs already and waits for us: the units are queued, not waited for.
set --
for unit in "$system"/etc/systemd/system/multi-user.target.wants/*; do
  if [ -e "$unit" ]; then set -- "$@" "${unit##*/}"; fi
done
if [ $# -gt 0 ]; then systemctl start --no-block "$@"; fi
