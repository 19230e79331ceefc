#!/bin/sh
# Stands in for systemd-boot's bootctl, which sets variables of a firmware that no container has. Here they are a file beside
# the entries, which the lab's boot looks at and removes.
set -u
variable=/boot/loader/lab-oneshot
case ${1:-status} in
  status)
    echo "Current Boot Loader:"
    echo "      Product: systemd-boot (lab)"
    echo "     Features: ✓ Default entry control"
    echo "               ✓ One-shot entry control"
    ;;
  set-oneshot)
    [ $# = 2 ] || {
      echo "bootctl: set-oneshot wants one entry" >&2
      exit 1
    }
    if [ -n "$2" ]; then printf '%s\n' "$2" >"$variable"; else rm -f "$variable"; fi
    ;;
  *)
    echo "bootctl: the lab knows status and set-oneshot, not '$1'" >&2
    exit 1
    ;;
esac
