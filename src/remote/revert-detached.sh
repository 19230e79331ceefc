# Brings the host back to what it ran before an activation. Whoever decides first, this or the confirmation, has decided.
reason=$1
ln -s reverting "$d/decided" 2>/dev/null || exit 0
exec >"$d/revert.log" 2>&1
end "$d/pid"
activate "$old"
code=$?
if [ "$(readlink "$profile")" != "$link" ]; then
  number=${link#"${profile##*/}-"}
  nix-env --profile "$profile" --switch-generation "${number%-link}" || nix-env --profile "$profile" --set "$kept"
fi
what=stuck
[ "$code" = 0 ] && [ "$(runs)" = "$old" ] && what=reverted
printf '%s %s %s\n' "$what" "$code" "$reason" >"$d/result.new"
printf '%s %s %s %s %s\n' "$id" "$(date +%s)" "$what" "$code" "$reason" >"$d/told"
chmod 644 "$d/told"
mv "$d/told" "$hub/reverted"
mv "$d/result.new" "$d/result"
rm -f "$roots/hubctl-$id"
disarm "$id" revert confirm longer
:
