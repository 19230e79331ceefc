#!/bin/sh
# Writes one boot entry per generation of the system profile and makes the one that holds SYSTEM the default, as
# systemd-boot's installer does on NixOS. usage: install-bootloader SYSTEM
#
# A lab is switched again and again, so that what an entry takes is looked up by the shell itself wherever it can.
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

# content FILE: its lines, or nothing; into `content`.
content() {
  content=
  [ -e "$1" ] || return 0
  while IFS= read -r line || [ -n "$line" ]; do
    content="$content$line
"
  done <"$1"
}

# in_boot FILE: the name under /EFI/nixos of a store path's file, into `name`; the same content has the same name.
in_boot() {
  name=${1#/nix/store/}
  while [ "$name" != "${name#*/}" ]; do name=${name%%/*}-${name#*/}; done
  name=$name.efi
}

# look LINK: what LINK leads to and boots, into `system`, `kernel` and `initrd`, with the names that these have in /boot.
look() {
  {
    read -r system
    read -r kernel
    read -r initrd
  } <<TEXT
$(readlink -f "$1" "$1/kernel" "$1/initrd")
TEXT
  in_boot "$kernel"
  kernel_name=$name
  in_boot "$initrd"
  initrd_name=$name
}

# entry NAME LINK TITLE: copies what the entry boots, then writes the entry.
entry() {
  look "$2"
  [ -e "$boot/EFI/nixos/$kernel_name" ] || write "$boot/EFI/nixos/$kernel_name" <"$kernel"
  [ -e "$boot/EFI/nixos/$initrd_name" ] || write "$boot/EFI/nixos/$initrd_name" <"$initrd"
  content "$system/nixos-version"
  version=$3\ NixOS\ $content
  content "$system/kernel-params"
  text="title NixOS
sort-key nixos
version ${version%?}
linux /EFI/nixos/$kernel_name
initrd /EFI/nixos/$initrd_name
options init=$system/init $content"
  content "$boot/loader/entries/$1.conf"
  [ "$content" = "$text" ] || printf '%s' "$text" | write "$boot/loader/entries/$1.conf"
}

generations=$(for link in "$profiles"/system-*-link; do
  [ -e "$link/init" ] || continue
  number=${link##*/system-}
  echo "${number%-link}"
done | sort -n)

# Entries and files of generations that are gone make room first.
needed=' '
for number in $generations; do
  for link in "$profiles/system-$number-link" "$profiles/system-$number-link"/specialisation/*; do
    [ -e "$link" ] || continue
    look "$link"
    specialisation=
    case $link in */specialisation/*) specialisation=-specialisation-${link##*/} ;; esac
    needed="$needed nixos-generation-$number$specialisation.conf $kernel_name $initrd_name "
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
  generation=$profiles/system-$number-link
  for specialisation in "$generation"/specialisation/*; do
    [ -e "$specialisation" ] || continue
    name=${specialisation##*/}
    entry "nixos-generation-$number-specialisation-$name" "$specialisation" "Generation $number-$name"
  done
  entry "nixos-generation-$number" "$generation" "Generation $number"
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
