# Brings the host back to what it ran and booted before an activation. Whoever decides first, this or the confirmation, has
# decided.
reason=$1
PATH=$old/sw/bin
export PATH
ln -s reverting "$d/decided" 2>/dev/null || exit 0
exec >"$d/revert.log" 2>&1
unit=nixos-rebuild-switch-to-configuration.service
systemctl kill --signal=KILL "$unit"
systemctl stop "$unit"
systemctl reset-failed "$unit"
profile=/nix/var/nix/profiles/system
if [ "$(readlink "$profile")" != "$link" ]; then
  number=${link#system-}
  nix-env --profile "$profile" --switch-generation "${number%-link}" || nix-env --profile "$profile" --set "$kept"
fi
# Whoever was killed may hold the lock of switch-to-configuration for another moment.
tries=0
while [ "$tries" -lt 10 ]; do
  tries=$((tries + 1))
  if [ "$kept" = "$old" ] || [ -z "$kept" ]; then
    "$old/bin/switch-to-configuration" switch
    code=$?
  else
    # The system that ran was not the one to be booted.
    "$kept/bin/switch-to-configuration" boot
    "$old/bin/switch-to-configuration" test
    code=$?
  fi
  [ "$(readlink -f /run/current-system)" = "$old" ] && break
  sleep 1
done
what=stuck
[ "$(readlink -f /run/current-system)" = "$old" ] && what=reverted
printf '%s %s %s\n' "$what" "$code" "$reason" >"$d/result.new"
printf '%s %s %s %s %s\n' "$id" "$(date +%s)" "$what" "$code" "$reason" >"$d/told"
chmod 644 "$d/told"
mv "$d/told" /run/hubctl/reverted
mv "$d/result.new" "$d/result"
rm -f "/nix/var/nix/gcroots/hubctl-$id"
systemctl stop "hubctl-revert-$id.timer" "hubctl-confirm-$id.timer" "hubctl-confirm-$id-longer.timer"
:
