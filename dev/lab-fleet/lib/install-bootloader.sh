#!/bin/sh
# Writes one boot entry per generation of the system profile and makes the one that holds SYSTEM the default, as
# systemd-boot's installer does on NixOS. usage: install-bootloader SYSTEM
set -eu

boot=/boot
profiles=/nix/var/nix/profiles
wanted=$(readlink -f "$1")
mkdir -p "$boot/loader/entries" "$boot/EFI/nixos"

# A file appears under its name when it is whole, or not at all.
write() {
  if ! cat >"$1.tmp"; then
    rm -f "$1.tmp"
    return 1
  fi
  mv "$1.tmp" "$1"
}

# in_boot FILE: the name under /EFI/nixos of a store path's file; the same content has the same name.
in_boot() {
  file=$(readlink -f "$1")
  name=${file#/nix/store/}
  printf '%s.efi' "$(printf '%s' "$name" | tr / -)"
}

# entry NAME SYSTEM TITLE: copies what the entry boots, then writes the entry.
entry() {
  kernel=$(in_boot "$2/kernel")
  initrd=$(in_boot "$2/initrd")
  [ -e "$boot/EFI/nixos/$kernel" ] || write "$boot/EFI/nixos/$kernel" <"$2/kernel"
  [ -e "$boot/EFI/nixos/$initrd" ] || write "$boot/EFI/nixos/$initrd" <"$2/initrd"
  write "$boot/loader/entries/$1.conf" <<TEXT
title NixOS
sort-key nixos
version $3
linux /EFI/nixos/$kernel
initrd /EFI/nixos/$initrd
options init=$2/init $(cat "$2/kernel-params")
TEXT
}

generations=$(for link in "$profiles"/system-*-link; do
  [ -e "$link/init" ] || continue
  number=${link##*/system-}
  echo "${number%-link}"
done | sort -n)

# Entries and files of generations that are gone make room first.
needed=' '
for number in $generations; do
  system=$(readlink -f "$profiles/system-$number-link")
  needed="$needed nixos-generation-$number.conf $(in_boot "$system/kernel") $(in_boot "$system/initrd") "
  for specialisation in "$system"/specialisation/*; do
    [ -e "$specialisation" ] || continue
    own=$(readlink -f "$specialisation")
    needed="$needed nixos-generation-$number-specialisation-${specialisation##*/}.conf $(in_boot "$own/kernel") $(in_boot "$own/initrd") "
  done
done
for file in "$boot"/loader/entries/nixos-generation-* "$boot"/EFI/nixos/*; do
  [ -e "$file" ] || continue
  case $needed in
    *" ${file##*/} "*) ;;
    *) rm -f "$file" ;;
  esac
done

default=
current=$(readlink "$profiles/system" || :)
for number in $generations; do
  system=$(readlink -f "$profiles/system-$number-link")
  entry "nixos-generation-$number" "$system" "Generation $number NixOS $(cat "$system/nixos-version")"
  for specialisation in "$system"/specialisation/*; do
    [ -e "$specialisation" ] || continue
    entry "nixos-generation-$number-specialisation-${specialisation##*/}" "$(readlink -f "$specialisation")" \
      "Generation $number-${specialisation##*/} NixOS $(cat "$specialisation/nixos-version")"
  done
  # Two generations may hold the same system: the profile's own goes first.
  if [ "$system" = "$wanted" ] && [ "$default" != "$current" ]; then default=system-$number-link; fi
done

# Without a generation that holds the system (a specialisation, or a profile that was not set) the default stays.
if [ -n "$default" ]; then
  number=${default#system-}
  write "$boot/loader/loader.conf" <<TEXT
timeout 5
default nixos-generation-${number%-link}.conf
console-mode keep
TEXT
fi
sync -f "$boot" 2>/dev/null || :
