# What every platform has in its own way, for NixOS: the work goes to systemd, under names that others can see.
PATH=$PATH:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/bin:/bin
hub=/run/hubctl
profile=/nix/var/nix/profiles/system
roots=/nix/var/nix/gcroots
unit=nixos-rebuild-switch-to-configuration
# A link to what is about to become the boot default, for as long as the boot loader may not have it. It lies on the disk of the
# profile, so that a host that loses its power between the two shows that.
halfway=/nix/var/nix/hubctl-boot-default
default_begins() { ln -sfn "$1" "$halfway" 2>/dev/null; }
# default_ends CODE: the boot loader comes before the activation, so that with each of these it is installed.
default_ends() { case $1 in 0 | 2 | 4 | 100) rm -f "$halfway" ;; esac; }
real() { readlink -f "$1"; }
changed() { stat -c %Y "$1"; }
# line FILE: its first line, without a program.
line() { read -r first <"$1" && printf '%s\n' "$first"; }
boot_id() { line /proc/sys/kernel/random/boot_id; }
host_name() { line /proc/sys/kernel/hostname; }
runs() { real /run/current-system; }
# objects TOPLEVEL: a word for why this host cannot activate it, or nothing.
objects() {
  if [ ! -d /run/systemd/system ]; then
    echo no-systemd
  elif [ ! -e "$1/nixos-version" ] || [ ! -x "$1/bin/switch-to-configuration" ]; then
    echo not-a-system
  fi
}
# active DIRECTORY: whether its activation is under way, be it only that systemd has its name.
active() { case $(systemctl is-active "$unit.service") in active | activating | deactivating | reloading) ;; *) false ;; esac; }
# Whether somebody activates now. The lock is the one that switch-to-configuration takes.
busy() {
  lock=/run/nixos/switch-to-configuration.lock
  active || { [ -e "$lock" ] && command -v flock >/dev/null && ! flock --nonblock 9 9<"$lock"; }
}
# Whether an activation is under way, waits to be confirmed or is being taken back.
activating() {
  systemctl list-units --plain --no-legend "$unit.service" 'hubctl-revert-*' 'hubctl-confirm-*' 2>/dev/null |
    grep -q ' activ\| deactiv'
}
# A host that is going down takes its activation with it; what came of that shows when it is back.
goes_down() { case $(systemctl is-system-running) in initializing | starting | running | degraded | maintenance) false ;; esac; }
# launch DIRECTORY: starts the script `run` in it; `said` is why that fails.
launch() {
  said=$(systemd-run --unit="$unit" --collect --quiet --no-ask-password --service-type=exec \
    --setenv=PATH="$PATH" --setenv=LOCALE_ARCHIVE="${LOCALE_ARCHIVE-}" --setenv=NIXOS_INSTALL_BOOTLOADER=0 \
    --setenv=NIXOS_NO_CHECK="${NIXOS_NO_CHECK-}" \
    --property="Description=hubctl activates $toplevel" /bin/sh "$1/run" 2>&1)
}
# timers ID NAME..: their units; is_armed and disarm go by the same names.
timers() {
  of=$1
  shift
  for name in "$@"; do
    case $name in longer) echo "hubctl-confirm-$of-longer.timer" ;; *) echo "hubctl-$name-$of.timer" ;; esac
  done
}
is_armed() { systemctl is-active --quiet "$(timers "$@")"; }
# shellcheck disable=SC2046 # no name has a blank.
disarm() { systemctl stop $(timers "$@"); }
# waits ID, reverts ID: whether the activation's timer, or what that has started, goes on. All of it is gone with a boot.
waits() { [ -e "$hub/$1/revert" ]; }
reverts() { :; }
# revert_now ID REASON: takes the activation back without waiting for its timer.
revert_now() {
  old=$(real "$roots/hubctl-$1")
  "$old/sw/bin/systemd-run" "--unit=hubctl-revert-$1-now" --collect --quiet --no-ask-password \
    --service-type=exec "$old/sw/bin/sh" "$hub/$1/revert" "$2"
}
