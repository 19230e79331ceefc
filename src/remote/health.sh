# Runs checks side by side, each until it passes or its tries are used up, and prints of each what the last try saw.
LC_ALL=C
export LC_ALL
PATH=$PATH:/run/current-system/sw/bin:/usr/bin:/bin
d=$(mktemp -d) || exit 1
trap 'rm -rf "$d"' EXIT
# limit COMMAND..: the command, for as many seconds as a try may take.
if command -v timeout >/dev/null; then
  limit() { timeout -k 1 "$seconds" "$@"; }
else
  limit() { perl -e 'alarm shift; exec @ARGV or exit 127' "$seconds" "$@"; }
fi
# fails CODE WORDS: the end of a try that saw this.
fails() {
  case $1 in
    # What timeout gives for a command that it stopped or killed, and a shell for one that an alarm ended.
    124 | 137 | 142) printf 'no answer within %s s\n' "$seconds" ;;
    *) printf '%s\n' "$2" ;;
  esac
  false
}
needs() { command -v "$1" >/dev/null || fails 1 "there is no $1 to check it with"; }
span() {
  if [ "$1" -ge 7200 ]; then echo "$(($1 / 3600)) h $(($1 / 60 % 60)) min"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

check_unit() {
  needs systemctl || return
  limit systemctl show --property=LoadState --property=ActiveState -- "$1" >"$o" 2>&1 || fails $? "systemctl: $(tail -n 1 "$o")" || return
  load= active=
  while IFS='=' read -r key value; do
    case $key in
      LoadState) load=$value ;;
      ActiveState) active=$value ;;
    esac
  done <"$o"
  case $load:$active in
    not-found:*) fails 1 "there is no such unit" ;;
    *:active | *:reloading | *:refreshing) ;;
    *) fails 1 "it is $active" ;;
  esac
}

check_units() {
  needs systemctl || return
  limit systemctl list-units --all --plain --full --no-legend --no-pager -- "$1" >"$o" 2>&1 || fails $? "systemctl: $(tail -n 1 "$o")" || return
  active= failed=
  while read -r unit _ state _; do
    case $state in
      active | reloading | refreshing) active=1 ;;
      failed) failed="$failed $unit" ;;
    esac
  done <"$o"
  if [ -n "$failed" ]; then
    fails 1 "failed:$failed"
  elif [ -z "$active" ]; then
    fails 1 "no such unit is active"
  fi
}

check_tcp() {
  needs bash || return
  # shellcheck disable=SC2016 # bash itself reads its arguments.
  limit bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" >"$o" 2>&1 && return
  code=$?
  said=$(head -n 1 "$o")
  fails $code "${said##*: }"
}

check_http() {
  needs curl || return
  limit curl --silent --show-error --globoff --proto '=http,https' --max-time "$seconds" --max-filesize 16777216 \
    --output "$o.body" --write-out '%{http_code}' --url "$1" >"$o" 2>"$o.said" || {
    code=$?
    # Its own word for time that is up.
    [ $code = 28 ] && code=124
    said=$(tail -n 1 "$o.said")
    fails $code "${said#curl: }"
    return
  }
  status=$(cat "$o")
  if [ "$status" != "$2" ]; then
    fails 1 "status $status, not $2"
  elif [ -n "$3" ] && ! grep -qF -e "$3" "$o.body"; then
    fails 1 "status $status, without the text in its body"
  fi
}

check_command() {
  limit "$@" >"$o" 2>&1 </dev/null && return
  code=$?
  said=$(tail -n 1 "$o")
  fails $code "exit code $code${said:+: $said}"
}

check_file() {
  [ -e "$1" ] || fails 1 "there is no such file" || return
  [ -n "$2" ] || return 0
  changed=$(stat -L -c %Y -- "$1" 2>/dev/null || stat -L -f %m -- "$1")
  age=$(($(date +%s) - changed))
  [ "$age" -le "$2" ] || fails 1 "its last change is $(span "$age") ago, not within $(span "$2")"
}

# check NUMBER TRIES PAUSE SECONDS KIND ARGUMENT..
check() {
  number=$1 tries=$2 pause=$3 seconds=$4
  shift 4
  o=$d/$number
  until seen=$("$@"); do
    tries=$((tries - 1))
    if [ "$tries" -le 0 ]; then
      printf 'hubctl-health:%s failed %s\n' "$number" "$(printf %s "$seen" | tr '\n' ' ' | cut -c 1-300)"
      return
    fi
    sleep "$pause"
  done
  printf 'hubctl-health:%s passed\n' "$number"
}
