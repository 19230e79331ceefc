# Arms what takes the activation back unless somebody confirms it, where there is no systemd: a process that sleeps until then. It
# goes by the system that runs now; of the new one, and of the network, nothing is known. It does not outlive a boot.
old=$(runs)
if [ -n "$old" ] && [ -z "$(objects "$old")" ]; then
  {{
    cat <<'HUBCTL'
{dialect}
HUBCTL
    printf 'd=%s\nid={id}\nold=%s\nkept=%s\nlink=%s\n' "$directory" "$old" "$(real "$profile")" "$(readlink "$profile")"
    cat <<'HUBCTL'
{revert}
HUBCTL
  }} >"$directory/revert"
  # Nothing else may hold the old system once the new one runs.
  mkdir -p "$roots"
  hold "{id}" "$old"
  cat >"$directory/timer" <<'HUBCTL'
sleep "$1"
exec /bin/sh "${{0%/*}}/revert" "$2"
HUBCTL
  cat >"$directory/rearm" <<'HUBCTL'
{dialect}
d=$hub/{id}
seconds=${{1:-{confirm}}}
case ${{2-}} in -longer) name=longer ;; *) name=confirm ;; esac
detach "$d/$name.pid" /bin/sh "$d/timer" "$seconds" "it was not confirmed within $seconds s"
HUBCTL
  detach "$directory/revert.pid" /bin/sh "$directory/timer" {patience} 'it did not end in time'
else
  answer unguarded
fi
