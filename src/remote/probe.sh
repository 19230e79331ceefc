# Asks a host what it runs, in one go and changing nothing. Prints lines of `key=value`; a key without a line is not known.
# It runs with every command and on every host, so that the shell itself finds out what it can: each program costs a millisecond.
say() { [ -n "$2" ] && printf '%s=%s\n' "$1" "$2"; }
# first FILE: its first line, or nothing; into `first`.
first() {
  first=
  [ -r "$1" ] && read -r first <"$1"
}
# real LINK: the directory that it leads to, or nothing; into `real`.
real() {
  real=
  cd -P "$1" 2>/dev/null && real=$PWD && cd /
}
unset CDPATH
newline='
'
say probe 1
first /proc/sys/kernel/hostname
say hostname "${first:-$(hostname -s 2>/dev/null)}"
first /etc/machine-id
say machine-id "$first"
first /proc/sys/kernel/random/boot_id
say boot-id "$first"
first /proc/uptime
say uptime "${first%%.*}"
first /proc/sys/kernel/arch
machine=${first:-$(uname -m)}
first /proc/sys/kernel/ostype
say system "$machine-${first:-$(uname -s)}"
uid=
[ -r /proc/self/status ] && while read -r key _ effective _; do
  [ "$key" = Uid: ] && uid=$effective && break
done </proc/self/status
say uid "${uid:-$(id -u)}"
profile=/nix/var/nix/profiles/system
# When each generation was made, and which one is the profile's. The directory of a process in /proc is made when it is first looked
# at, which tells the time.
seen=$(stat -c '%Y %N' /proc/self/ $profile $profile-*-link 2>/dev/null)
case $seen in
  [0-9]*" '/proc/self/'$newline"*) now=${seen%% *} ;;
  *) now=$(date +%s) ;;
esac
say now "$now"

real /run/current-system
current=$real
say current "$current"
real /run/booted-system
booted=$real
say booted "$booted"
real $profile
say profile "$real"
for one in /nix/var/nix/profiles/system/specialisation/*; do
  [ -n "$current" ] && [ "$one" -ef "$current" ] && say specialisation "${one##*/}"
done
generation='' made=''
case $seen in
  *" '$profile' -> '"*)
    generation=${seen#*" '$profile' -> '"}
    generation=${generation%%"'"*}
    made=${seen%%" '${profile%/*}/${generation##*/}' -> "*}
    [ "$made" = "$seen" ] && made=
    ;;
  *)
    generation=$(readlink $profile 2>/dev/null)
    [ -n "$generation" ] && made=$(stat -f %m "${profile%/*}/${generation##*/}" 2>/dev/null)
    ;;
esac
say generation "$generation"
say generation-made "${made##*"$newline"}"
if [ -n "$booted" ] && [ -n "$current" ] && [ "$booted" != "$current" ]; then
  for part in kernel initrd kernel-modules; do
    [ -e "$booted/$part" ] || [ -e "$current/$part" ] || continue
    [ "$booted/$part" -ef "$current/$part" ] || say reboot "$part"
  done
  first "$booted/kernel-params"
  params=$first
  first "$current/kernel-params"
  [ "$params" = "$first" ] || say reboot kernel-params
fi

names= places=
for place in store:/nix/store boot:/boot; do
  [ -d "${place#*:}" ] && names="$names ${place%%:*}" places="$places ${place#*:}"
done
# shellcheck disable=SC2086 # these are words.
[ -n "$places" ] && {
  read -r _
  for name in $names; do
    read -r line && say "$name-space" "$line"
  done
} <<END
$(df -kP $places 2>/dev/null)
END
for supply in /sys/class/power_supply/*; do
  first "$supply/type"
  if [ "$first" = Battery ]; then
    # That of a mouse is none of the host's own.
    first "$supply/scope"
    [ "$first" = Device ] && continue
    first "$supply/status"
    [ "$first" = Discharging ] || continue
    first "$supply/capacity"
    say discharging "$first"
  else
    first "$supply/online"
    [ "$first" = 1 ] && say mains 1
  fi
done
for key in /etc/ssh/ssh_host_*_key.pub; do
  first "$key"
  [ -n "$first" ] && say host-key "${key%.pub} $first"
done
set -- /nix/var/nix/gcroots/hubctl-*
{ [ -d /run/hubctl ] || [ -L "$1" ]; } && say remains 1
if [ -L /run/hubctl/lock ]; then
  # It may be given back at this very moment.
  seen=$(stat -c %Y /run/hubctl/lock 2>/dev/null) && say lock "$((now - seen)) $(readlink /run/hubctl/lock)"
fi
first /run/hubctl/reverted
# What a boot was taken back for outlives the next one.
[ -n "$first" ] || first /var/lib/hubctl/reverted
say reverted "$first"
# The plan that a switch leaves behind when it does not come to its end; while one is under way it is as it should be.
for plan in start restart reload; do
  [ -s "/run/nixos/$plan-list" ] && interrupted=1
done
say interrupted "$interrupted"
# The profile has a system of which it is not known whether the boot loader has it too.
[ /nix/var/nix/hubctl-boot-default -ef $profile ] && real $profile && say halfway "$real"
if [ -d /run/systemd/system ]; then
  say systemd 1
  # Who activates has units of these names, for as long as they are there. Without one the failed units are all that matters: to
  # list a few is done much sooner than to list all, which the shell reads letter by letter.
  which=--state=failed
  for unit in /run/systemd/transient/nixos-rebuild-switch-to-configuration.service \
    /run/systemd/transient/hubctl-revert-* /run/systemd/transient/hubctl-confirm-* \
    /etc/systemd/system.attached/hubctl-confirm-* /run/systemd/system.attached/hubctl-confirm-*; do
    [ -e "$unit" ] && which=''
  done
  systemctl list-units --plain --full --no-legend --no-pager $which 2>/dev/null | while read -r unit _ active _ description; do
    case $active:$unit in
      failed:*) say failed-unit "$unit" ;;
      # The description is what a user without rights sees of who began it.
      *:nixos-rebuild-switch-to-configuration.service)
        case $description in 'hubctl '*) say activating hubctl ;; *) say activating other ;; esac
        ;;
      # One that waits to be confirmed, or is being taken back.
      *:hubctl-revert-* | *:hubctl-confirm-*) say activating hubctl ;;
    esac
  done
fi
for program in nix-daemon nix-store; do
  command -v $program >/dev/null && printf nix= && command -v $program && break
done
:
