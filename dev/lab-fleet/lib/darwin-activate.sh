#!/bin/sh
# Makes this system the running one in the way of nix-darwin: as root, until the first thing that fails, with the link at the end.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

system=@out@
# shellcheck disable=SC1091 # made with the system.
. "$system/lab/behaviour"
: "${name:?}" "${seconds:?}"
if [ "$(id -u)" != 0 ]; then
  echo "error: activate must be run as root" >&2
  exit 2
fi

echo "setting up /etc..." >&2
ln -sfn "$system/etc" /etc/static
ln -sfn /etc/static/lab-motd /etc/lab-motd

# The network as this system wants it, whatever the one before it has done.
if [ -r /etc/lab-network ]; then
  read -r interface address </etc/lab-network
  if [ -n "$cut_network" ]; then
    echo "setting up the network... (taking $interface down)" >&2
    ip link set "$interface" down
  else
    ip link set "$interface" up
    ip addr replace "$address" dev "$interface"
    ip route replace default via "${address%.*}.1"
  fi
fi
if [ "$seconds" -gt 0 ]; then
  echo "taking $seconds seconds..." >&2
  sleep "$seconds"
fi
echo "setting up launchd services..." >&2
if [ -n "$stop_sshd" ]; then
  systemctl stop sshd.service
else
  systemctl start sshd.service
fi
if [ -n "$hang" ]; then
  echo "hanging..." >&2
  sleep infinity
fi
if [ -n "$reboot" ]; then
  echo "rebooting..." >&2
  systemctl reboot
  sleep infinity
fi
if [ -n "$fails" ]; then
  echo "error: could not set up $name" >&2
  exit 1
fi

mkdir -p /nix/var/nix/gcroots
ln -sfn "$system" /run/current-system
ln -sfn /run/current-system /nix/var/nix/gcroots/current-system
