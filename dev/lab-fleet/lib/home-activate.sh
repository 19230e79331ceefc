#!/bin/sh
# Makes this the user's home, in the order of home-manager: what the old generation linked goes, the profile is set, the new files are
# linked, and what comes after may fail.
set -eu
new=@out@
if [ "$(id -un)" != @user@ ]; then
  echo "Error: USER is set to $(id -un) but we expect @user@" >&2
  exit 1
fi
echo "Starting Home Manager activation"
state=${XDG_STATE_HOME:-$HOME/.local/state}
profiles=$state/nix/profiles
[ -d "$profiles" ] || profiles=/nix/var/nix/profiles/per-user/@user@
mkdir -p "$profiles" "$state/home-manager/gcroots"
profile=$profiles/home-manager

if [ "$(readlink -e "$profile")" != "$new" ]; then
  echo "Creating new profile generation"
  nix-env --profile "$profile" --set "$new"
fi
nix-store --realise "$new" --add-root "$state/home-manager/gcroots/current-home" --indirect >/dev/null
echo "Creating home file links in $HOME"
ln -sfn "$new/home-files/.lab-motd" "$HOME/.lab-motd"
if [ @seconds@ -gt 0 ]; then
  echo "taking @seconds@ seconds..."
  sleep @seconds@
fi
if [ @exit@ != 0 ]; then
  echo "Error: could not reload services" >&2
  exit 1
fi
