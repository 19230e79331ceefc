# Boots the new system once: the old one becomes the boot default again first, so that whatever happens from here on, every
# boot but the next is the old system's.
(
{places}
new={new}
old={old}
profile={profile}
undo() {{
  forget
  default_begins "$new"
  nix-env --profile "$profile" --switch-generation {generation}
  "$new/bin/switch-to-configuration" boot && default_ends 0
  echo "$1; the host stays as it is"
  exit 1
}}
default_begins "$old"
nix-env --profile "$profile" --switch-generation {old_generation} || undo "the profile does not go back to generation {old_generation}"
"$old/bin/switch-to-configuration" boot || undo "the boot loader does not take the old system as its default"
default_ends 0
# It writes what the newest generations are, of which the old one may be none.
default=
for entry in $(boots "$old"); do
  conf=${{entry%/entries/*}}/loader.conf
  default=$(sed -n 's/^default[[:space:]]*//p' "$conf" | tail -n 1)
  [ "$default" != "$(named "$entry")" ] || break
  default=
done
[ -n "$default" ] || undo "the boot loader's default is not the old system"
if [ {watched} = 1 ]; then
  mkdir -p "$attached/sysinit.target.wants"
  cat >"$guard.sh" <<BOOT
id={id}
new=$new
PATH=$old/sw/bin
export PATH
BOOT
  cat >>"$guard.sh" <<'BOOT'
{places}
reason=${{1:-it was not confirmed within {seconds} s of its boot}}
# Whoever moves this file, this or the confirmation, has decided.
mv "$guard.sh" "$guard.gone" || exit 0
booted=$(readlink -f /run/booted-system)
[ "$booted" = "$new" ] || reason='it did not come up'
mkdir -p "${{note%/*}}"
printf '%s %s reverted 0 %s\n' "$id" "$(date +%s)" "$reason" >"$note"
chmod 644 "$note"
forget
[ "$booted" != "$new" ] || systemctl --no-block reboot
BOOT
  # Neither waits for anything of the new system, and an emergency does not end them.
  cat >"$guard.timer" <<'BOOT'
[Unit]
Description=hubctl goes back unless this boot is confirmed
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
IgnoreOnIsolate=yes

[Timer]
OnBootSec={seconds}
AccuracySec=1s
BOOT
  cat >"$guard.service" <<BOOT
[Unit]
Description=hubctl goes back to the system that was booted before
DefaultDependencies=no
IgnoreOnIsolate=yes

[Service]
Type=oneshot
ExecStart=$old/sw/bin/sh $guard.sh
BOOT
  ln -sfn ../hubctl-confirm-boot.timer "$attached/sysinit.target.wants/hubctl-confirm-boot.timer" ||
    undo "what takes the boot back cannot be laid on the disk"
fi
bootctl set-oneshot {entry} || undo "the boot loader does not take {entry} for one boot"
sync
systemctl reboot || {{
  bootctl set-oneshot ''
  undo "systemd does not reboot"
}}
sleep infinity
)
