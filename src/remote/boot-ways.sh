# Tells what the boot loader offers for trying a system. Changes nothing.
PATH=$PATH:/run/current-system/sw/bin:/usr/bin:/bin
say() { printf 'hubctl-boot:%s=%s\n' "$1" "$2"; }
# Where the locale has no check mark, bootctl writes a plus.
bootctl status 2>/dev/null | grep -q -e '✓ One-shot entry control' -e '+ One-shot entry control' && say one-time 1
say entry "$(named "$(boots "$new" | tail -n 1)")"
say old-entry "$(named "$(boots "$old" | tail -n 1)")"
for link in "$profile"-*-link; do
  [ "$(readlink -f "$link")" = "$old" ] && say old-generation "$link"
done
# An /etc in memory, or one that is read-only, takes no unit over a boot.
case $(stat -f -c %T /etc):$(systemctl show --property=UnitPath --value | tr '\n' ' ') in
  tmpfs:* | ramfs:*) ;;
  *"$attached "*) [ -w /etc/systemd ] && say keeps-units 1 ;;
esac
:
