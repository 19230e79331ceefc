# Prints what an activation printed since the last time, each line behind a bar, and tells how it ended. Only whole lines
# are printed until the end, and the number of lines printed after them, so that another connection can go on from there.
# It runs for as long as the activation does, beside it: what can be had from the shell itself starts no program.
{dialect}
d=$hub/{id}
seen={seen}
until=$(($(date +%s) + {seconds}))
is_open= rest=
answer() {{ printf 'hubctl-follow:%s\n' "$*"; exit 0; }}
fresh() {{
  if [ -z "$is_open" ]; then
    [ -e "$d/log" ] || return 0
    exec 3<"$d/log"
    is_open=1
    skip=$seen
    while [ "$skip" -gt 0 ] && IFS= read -r line <&3; do skip=$((skip - 1)); done
  fi
  before=$seen
  while IFS= read -r line <&3; do
    printf '|%s\n' "$rest$line"
    rest=
    seen=$((seen + 1))
  done
  rest=$rest$line
  if [ "$1" = all ] && [ -n "$rest" ]; then
    printf '|%s\n' "$rest"
    seen=$((seen + 1))
  fi
  [ "$seen" = "$before" ] || printf '\nhubctl-follow:seen %s\n' "$seen"
}}
# pause SECONDS: for so long, or until the activation's end lets go of its lock.
if command -v flock >/dev/null; then
  # Where it fails at once, whatever its reason, this must not become a busy loop.
  pause() {{ {{ [ -e "$d/lock" ] && flock --shared --wait "$1" 9 9<"$d/lock"; }} || sleep 0.02; }}
else
  pause() {{ sleep 0.04; }}
fi
[ -d "$d" ] || answer vanished
looks=0
while :; do
  if [ -e "$d/exit" ]; then
    fresh all
    read -r ended <"$d/exit"
    printf '\n'
    answer exited "$ended"
  fi
  fresh whole
  # The user waits for the end, so that it is looked for more often than for what costs more.
  looks=$((looks + 1))
  if [ "$looks" = 20 ]; then
    looks=0
    if ! active "$d"; then
      sleep 0.2
      [ -e "$d/exit" ] && continue
      goes_down || answer vanished
    fi
    [ "$(date +%s)" -lt "$until" ] || answer running
  fi
  pause 0.2
done
