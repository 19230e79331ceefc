# Of all places where units lie, this one is on the disk and belongs to no system: it is for what is attached to a host.
attached=/etc/systemd/system.attached
guard=$attached/hubctl-confirm-boot
note=/var/lib/hubctl/reverted
forget() {
  rm -f "$attached/sysinit.target.wants/hubctl-confirm-boot.timer" "$guard.timer" "$guard.service" "$guard.sh" \
    "$guard.gone" "$guard.kept"
  rmdir "$attached/sysinit.target.wants" "$attached" 2>/dev/null
}
# boots TOPLEVEL: the files of the boot loader's entries that boot it.
boots() {
  grep -ls -e "[[:space:]]init=$1/init\$" -e "[[:space:]]init=$1/init[[:space:]]" \
    /boot/loader/entries/*.conf /efi/loader/entries/*.conf /boot/efi/loader/entries/*.conf
}
# named FILE: the entry's name, which is without the number of tries that are left to it.
named() { printf '%s\n' "${1##*/}" | sed 's/+[0-9-]*\.conf$/.conf/'; }
