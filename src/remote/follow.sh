# Prints what an activation printed since the last time, each line behind a bar, and tells how it ended. Only whole lines
# are printed until the end, and the number of bytes printed after them, so that another connection can go on from there.
d={directory}
seen={seen}
until=$(($(date +%s) + {seconds}))
answer() {{ printf 'hubctl-follow:%s\n' "$*"; exit 0; }}
fresh() {{
  size=$(wc -c <"$d/log" 2>/dev/null || echo 0)
  [ "$size" -gt "$seen" ] || return 0
  new=$(tail -c "+$((seen + 1))" "$d/log" | head -c $((size - seen)) && echo x)
  new=${{new%x}}
  whole=${{new%"${{new##*
}}"}}
  [ "$1" = all ] && whole=$new
  [ -n "$whole" ] || return 0
  printf '%s' "$whole" | sed 's/^/|/'
  seen=$((seen + $(printf '%s' "$whole" | wc -c)))
  printf '\nhubctl-follow:seen %s\n' "$seen"
}}
[ -d "$d" ] || answer vanished
while :; do
  if [ -e "$d/exit" ]; then
    fresh all
    printf '\n'
    answer exited "$(cat "$d/exit")"
  fi
  fresh whole
  case $(systemctl is-active nixos-rebuild-switch-to-configuration.service) in
    active | activating | deactivating | reloading) ;;
    *)
      sleep 0.2
      [ -e "$d/exit" ] && continue
      # A host that is going down takes the activation with it; what came of that shows when it is back.
      case $(systemctl is-system-running) in
        initializing | starting | running | degraded | maintenance) answer vanished ;;
      esac
      ;;
  esac
  [ "$(date +%s)" -lt "$until" ] || answer running
  # The user waits for the end, so that it is looked for more often than for what costs more.
  n=0
  while [ $n -lt 5 ] && [ ! -e "$d/exit" ]; do
    sleep 0.02
    n=$((n + 1))
  done
done
