# Tells what of each generation the boot loader has, and what lies in its directories. Changes nothing.
for link in /nix/var/nix/profiles/system-*-link; do
  [ -e "$link" ] || continue
  number=${link##*/system-}
  for system in "$link" "$link"/specialisation/*; do
    for image in kernel initrd; do
      [ -e "$system/$image" ] && printf 'hubctl-image:%s %s\n' "${number%-link}" "$(real "$system/$image")"
    done
  done
done
for place in /boot /efi; do
  mountpoint -q "$place" || [ "$place" = /boot ] || continue
  for file in "$place"/EFI/nixos/* "$place"/efi/EFI/nixos/* "$place"/EFI/Linux/* "$place"/efi/EFI/Linux/* "$place"/kernels/*; do
    [ -f "$file" ] && printf 'hubctl-file:%s %s\n' "$(stat -c %s "$file")" "$file"
  done
done
:
