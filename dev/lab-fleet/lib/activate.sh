#!/bin/sh
# Makes this system the running one, apart from its units. Failing parts do not keep the others from running.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
export PATH

system=@out@
status=0
booting=${LAB_BOOTING:-}
# shellcheck disable=SC1091 # made with the system.
. "$system/lab/behaviour"
: "${activation_seconds:?}" "${activation_exit:?}"

# link TARGET NAME: replaces NAME in one step.
link() {
  ln -sfn "$1" "$2.tmp" && mv -T "$2.tmp" "$2"
}

echo "setting up /etc..."
link "$system/etc" /etc/static || status=1
cp "$system/etc/hostname" /etc/hostname || status=1
hostname "$(cat "$system/etc/hostname")" || status=1
link /etc/static/lab-motd /etc/lab-motd || status=1
for unit in "$system"/etc/systemd/system/*.service; do
  [ -e "$unit" ] || continue
  link "/etc/static/systemd/system/${unit##*/}" "/etc/systemd/system/${unit##*/}" || status=1
done
# What an earlier system had and this one has not.
for unit in /etc/systemd/system/*.service; do
  case $(readlink "$unit") in
    /etc/static/*) [ -e "$unit" ] || rm -f "$unit" ;;
  esac
done

@parts@

# The network as this system wants it, whatever the one before it has done.
if [ -r /etc/lab-network ]; then
  read -r interface address </etc/lab-network
  if [ -n "$activation_cutNetwork" ]; then
    echo "setting up the network... (taking $interface down)"
    ip link set "$interface" down || status=1
  else
    ip link set "$interface" up || status=1
    ip addr replace "$address" dev "$interface" || status=1
    ip route replace default via "${address%.*}.1" || status=1
  fi
  [ -z "$activation_dropAddress" ] || ip addr flush dev "$interface" || status=1
  while ip rule del pref 1 2>/dev/null; do :; done
  [ -z "$activation_dropTraffic" ] || ip rule add pref 1 type blackhole || status=1
fi

# The usual host key stands aside while a system has another.
key=/etc/ssh/ssh_host_ed25519_key
if [ -n "$activation_otherHostKey" ] && [ ! -e "$key.usual" ]; then
  mv "$key" "$key.usual" && ssh-keygen -q -t ed25519 -N '' -f "$key" && systemctl try-restart sshd.service || status=1
elif [ -z "$activation_otherHostKey" ] && [ -e "$key.usual" ]; then
  mv "$key.usual" "$key" && ssh-keygen -y -f "$key" >"$key.pub" && systemctl try-restart sshd.service || status=1
fi

if [ "$activation_seconds" -gt 0 ]; then
  echo "taking $activation_seconds seconds..."
  second=0
  while [ "$second" -lt "$activation_seconds" ]; do
    line=0
    while [ "$line" -lt "$activation_logLines" ]; do
      line=$((line + 1))
      echo "step $line of second $second"
    done
    second=$((second + 1))
    sleep 1
  done
fi
if [ -n "$activation_stopSshd" ]; then
  echo "stopping sshd..."
  if [ -n "$booting" ]; then
    # It is about to be started, and a stop now would come before that.
    systemctl mask --runtime sshd.service
  else
    systemctl stop sshd.service
  fi
fi
if [ -n "$activation_fillDisk" ]; then
  echo "filling /nix..."
  cat /dev/zero >>/nix/lab-fill 2>/dev/null
fi
if [ -n "$activation_hang" ]; then
  echo "hanging..."
  sleep infinity
fi
if [ -n "$activation_reboot" ] && [ -z "$booting" ]; then
  echo "rebooting..."
  systemctl reboot
  sleep infinity
fi
if [ -n "$activation_panic" ] && [ -z "$booting" ]; then
  systemctl poweroff --force --force
  sleep infinity
fi
if [ "$activation_exit" = 2 ]; then
  echo "Activation script snippet 'lab' failed (1)" >&2
  status=1
fi

mkdir -p /nix/var/nix/gcroots
link "$system" /run/current-system || status=1
link /run/current-system /nix/var/nix/gcroots/current-system || status=1
exit "$status"
