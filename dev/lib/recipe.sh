# What a user would type without hubctl, for benchmarks that compare with it. Sourced after stage.sh, on a stage with a lab.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `stage` is that of stage.sh.

# recipe_toplevel HOST: builds what the flake of the current directory wants for it, and prints its path.
recipe_toplevel() {
  nix build --json --no-link ".#nixosConfigurations.$1.config.system.build.toplevel" | sed 's/.*"out":"\([^"]*\)".*/\1/'
}

# recipe_switch HOST: what `nixos-rebuild switch --flake .#HOST --target-host HOST` does, in the steps that nixos-rebuild-ng takes.
recipe_switch() {
  local wanted control ssh=(ssh -F "$HUBCTL_SSH_CONFIG" -o ControlMaster=auto -o ControlPersist=60)
  control=$(mktemp -d "$stage/rebuild.XXXXXX")
  ssh+=(-o "ControlPath=$control/ssh-%n")
  wanted=$(recipe_toplevel "$1")
  NIX_SSHOPTS="${ssh[*]:1}" nix-copy-closure --to "$1" "$wanted"
  "${ssh[@]}" "$1" test -f "$wanted/nixos-version"
  "${ssh[@]}" "$1" nix-env -p /nix/var/nix/profiles/system --set "$wanted"
  "${ssh[@]}" "$1" test -d /run/systemd/system
  # The environment that nixos-rebuild clears is a login's, which the lab's hosts find their programs by.
  "${ssh[@]}" "$1" systemd-run -E LOCALE_ARCHIVE -E NIXOS_INSTALL_BOOTLOADER -E NIXOS_NO_CHECK --collect --no-ask-password \
    --pipe --quiet --service-type=exec --unit=nixos-rebuild-switch-to-configuration \
    "$wanted/bin/switch-to-configuration" switch
  "${ssh[@]}" -O exit "$1" 2>/dev/null
}
