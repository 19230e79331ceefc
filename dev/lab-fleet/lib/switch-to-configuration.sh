#!/bin/sh
# Switches the host to this system. Steps, messages and exit statuses are those of NixOS:
#   0 done; 2 the activation script failed; 4 units failed; 100 nothing activated, a reboot is needed; 1 anything else;
#   11 another switch is running.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
export PATH
trap '' PIPE

system=@out@
action=${1:-}
# shellcheck disable=SC1091 # made with the system.
. "$system/lab/behaviour"
: "${activation_exit:?}" "${activation_stopSshd?}"

# Nobody may be reading any more: the connection that started us can be gone.
say() {
  printf '%s\n' "$*" >&2 2>/dev/null || [ -z "$activation_fragileOutput" ] || exit 101
}

# join WORD..: separated by commas, as in every list below.
join() {
  joined=
  for word in "$@"; do joined=${joined:+$joined, }$word; done
  printf '%s' "$joined"
}

# The names are lists of words without blanks, so that they are split on purpose below.
# shellcheck disable=SC2086
list() {
  [ -z "$2" ] || say "$1: $(join $2)"
}

case $action in
  check | switch | boot | test | dry-activate) ;;
  *)
    say "Usage: ${0##*/} [check|switch|boot|test|dry-activate]

check:        run pre-switch checks and exit
switch:       make the configuration the boot default and activate now
boot:         make the configuration the boot default
test:         activate the configuration, but don't make it the boot default
dry-activate: show what would be done if this configuration were activated"
    exit 1
    ;;
esac

if [ ! -e /etc/NIXOS ]; then
  say "This is not a NixOS installation!"
  exit 1
fi

mkdir -p /run/nixos
exec 9>/run/nixos/switch-to-configuration.lock
if ! flock --nonblock 9; then
  say "Could not acquire lock: another switch-to-configuration is running"
  exit 11
fi

if [ -n "$activation_inhibit" ] && [ "${NIXOS_NO_CHECK:-}" != 1 ]; then
  say "Pre-switch check failed: $activation_inhibit"
  [ "$action" = dry-activate ] || exit 1
fi
[ "$action" != check ] || exit 0

if [ "$action" = switch ] || [ "$action" = boot ]; then
  say "updating the boot loader..."
  if ! "$system/lab/install-bootloader" "$system" 9>&-; then
    say "Failed to install bootloader"
    exit 1
  fi
fi
if [ "${NIXOS_NO_SYNC:-}" != 1 ] && [ "$action" != dry-activate ]; then
  sync -f /nix/store
fi
[ "$action" != boot ] || exit 0

old=$(readlink -f /run/current-system 2>/dev/null) || old=
interface=$(cat "$old/init-interface-version" 2>/dev/null) || interface='lab 1'
if [ "$interface" != "$(cat "$system/init-interface-version")" ]; then
  say "Warning: the new NixOS configuration has an 'init' that is incompatible with the current configuration.  The new configuration won't take effect until you reboot the system."
  exit 100
fi

# What happens to which unit. A unit is another when it is another store path.
stop='' start='' restart='' reload='' skip='' fresh=''
units=$system/etc/systemd/system
# look: which services are active now. One question for all of them, since each takes as long.
look() { running=" $(systemctl list-units --plain --no-legend --state=active,reloading --type=service | cut -d' ' -f1 | tr '\n' ' ') "; }
active() { case $running in *" $1 "*) ;; *) false ;; esac; }
says() { grep -q "^$2\$" "$1"; }
look
for unit in "$old"/etc/systemd/system/*.service; do
  [ -e "$unit" ] || continue
  name=${unit##*/}
  new=$units/$name
  if [ ! -e "$new" ]; then
    if active "$name"; then stop="$stop $name"; fi
  elif [ "$(readlink -f "$unit")" != "$(readlink -f "$new")" ] && active "$name"; then
    if says "$new" X-ReloadIfChanged=true; then
      reload="$reload $name"
    elif says "$new" X-RestartIfChanged=false; then
      skip="$skip $name"
    elif says "$new" X-StopIfChanged=false; then
      restart="$restart $name"
    else
      stop="$stop $name"
      start="$start $name"
    fi
  fi
done

# A switch that was interrupted has left its plan behind, which is carried out now.
for plan in start restart reload; do
  [ -s "/run/nixos/$plan-list" ] || continue
  while read -r name; do
    [ -e "$units/$name" ] || continue
    case $plan in
      start) case " $start $stop " in *" $name "*) ;; *) start="$start $name" ;; esac ;;
      restart) case " $restart " in *" $name "*) ;; *) restart="$restart $name" ;; esac ;;
      reload) case " $reload " in *" $name "*) ;; *) reload="$reload $name" ;; esac ;;
    esac
  done <"/run/nixos/$plan-list"
done

# The targets of the system are started anew, and with them whatever they want that does not run.
for unit in "$units"/multi-user.target.wants/*; do
  [ -e "$unit" ] || continue
  name=${unit##*/}
  case " $start $restart $reload $skip " in
    *" $name "*) ;;
    *) active "$name" || fresh="$fresh $name" ;;
  esac
done

if [ "$action" = dry-activate ]; then
  list "would stop the following units" "$stop"
  list "would NOT restart the following changed units" "$skip"
  say "would activate the configuration..."
  list "would reload the following units" "$reload"
  list "would restart the following units" "$restart"
  list "would start the following units" "$start$fresh"
  exit 0
fi

remember() {
  if [ -n "$2" ]; then printf '%s\n' "$2" | tr ' ' '\n' | sed '/^$/d' >"/run/nixos/$1-list"; fi
}
# The targets are started anew with every switch.
remember start "$start multi-user.target"
remember restart "$restart"
remember reload "$reload"

# Unit names are words: they are split on purpose.
# shellcheck disable=SC2086
if [ -n "$stop" ]; then
  list "stopping the following units" "$stop"
  systemctl stop $stop 9>&-
fi
list "NOT restarting the following changed units" "$skip"

status=0
say "activating the configuration..."
if ! "$system/activate" 9>&- >&2; then
  say "Failed to run activate script"
  status=2
fi

systemctl reset-failed 9>&-
systemctl daemon-reload 9>&-
# The target brings back what it wants and somebody stopped, sshd too.
[ -n "$activation_stopSshd" ] || systemctl start --no-block multi-user.target 9>&-
# shellcheck disable=SC2086
if [ -n "$reload" ]; then
  list "reloading the following units" "$reload"
  systemctl reload $reload 9>&- 2>/dev/null
  rm -f /run/nixos/reload-list
fi
# shellcheck disable=SC2086
if [ -n "$restart" ]; then
  list "restarting the following units" "$restart"
  systemctl restart $restart 9>&- 2>/dev/null
  rm -f /run/nixos/restart-list
fi
# shellcheck disable=SC2086
if [ -n "$start$fresh" ]; then
  list "starting the following units" "$start"
  systemctl start $start $fresh 9>&- 2>/dev/null
fi
rm -f /run/nixos/start-list /run/nixos/restart-list /run/nixos/reload-list

# What was started may fail a moment later: jobs and activating units are given time to settle.
if [ -n "$start$fresh$restart$reload" ]; then
  tries=0
  while sleep 0.1; do
    tries=$((tries + 1))
    [ "$tries" -lt 900 ] || break
    [ -n "$(systemctl list-units --no-legend --state=activating,reloading)" ] || break
  done
fi

started=
[ -z "$fresh" ] || look
for name in $fresh; do
  if active "$name"; then started="$started $name"; fi
done
list "the following new units were started" "$started"

failed=$(systemctl list-units --state=failed --no-legend --plain | cut -d' ' -f1 | tr '\n' ' ')
if [ -n "$failed" ]; then
  list "warning: the following units failed" "$failed"
  for name in $failed; do
    systemctl status --no-pager --full "$name" >&2 2>/dev/null || :
  done
  status=4
fi
if [ "$activation_exit" = 4 ]; then
  say "warning: user activation for operator failed"
  status=4
fi
exit "$status"
