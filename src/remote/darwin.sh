# What every platform has in its own way, for macOS with nix-darwin: the tools are those of BSD, and Nix may be on nobody's PATH.
plain=$PATH
PATH=$PATH:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin
# sudo leaves HOME as it was there, of which Nix complains.
if [ "$(id -u)" = 0 ]; then
  HOME=~root
  export HOME
fi
# Until nix-darwin was there once, /run is not.
hub=/var/run/hubctl
profile=/nix/var/nix/profiles/system
roots=/nix/var/nix/gcroots
boot_id() { sysctl -n kern.bootsessionuuid; }
host_name() { scutil --get HostName 2>/dev/null || scutil --get LocalHostName; }
runs() { real /run/current-system; }
# legacy TOPLEVEL: whether a part of it has to be activated by a user, as it was before release 25.05.
legacy() { [ -x "$1/activate-user" ] && ! grep -q '^# nix-darwin: deprecated$' "$1/activate-user"; }
user=${SUDO_USER:-${DOAS_USER-}}
objects() {
  if [ ! -e "$1/darwin-version" ] || [ ! -x "$1/activate" ]; then
    echo not-a-system
  elif legacy "$1" && [ -z "$user" ]; then
    echo no-user
  fi
}
activate() {
  if legacy "$1"; then sudo --user="$user" --set-home -- "$1/activate-user" || return; fi
  "$1/activate"
}
hold() { ln -sfn "$2" "$roots/hubctl-$1"; }
machine_id() { ioreg -rd1 -c IOPlatformExpertDevice | sed -n 's/.*"IOPlatformUUID" = "\(.*\)".*/\1/p'; }
up_for() { echo $(($(date +%s) - $(sysctl -n kern.boottime | sed -n 's/^{ sec = \([0-9]*\),.*/\1/p'))); }
# How full the battery is, in percent, where the Mac runs on it.
battery() {
  charge=$(pmset -g batt)
  case $charge in *"'Battery Power'"*) printf '%s\n' "$charge" | sed -n 's/.*[[:space:]]\([0-9]*\)%;.*/\1/p' | head -n 1 ;; esac
}
