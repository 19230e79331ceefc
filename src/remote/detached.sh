# What platforms without systemd have in common: work that outlives its connection is a process in a session of its own there, known
# by its number and by the directory that its command line names.
real() { (cd -P "$1" 2>/dev/null && pwd -P); }
changed() { stat -c %Y "$1" 2>/dev/null || stat -f %m "$1"; }
# detach FILE COMMAND..: starts a command that ends with nobody else, and writes its number to FILE.
detach() {
  number=$1
  shift
  if command -v setsid >/dev/null; then
    set -- setsid "$@"
  elif command -v perl >/dev/null; then
    set -- perl -e 'use POSIX; POSIX::setsid(); exec @ARGV' "$@"
  fi
  nohup "$@" </dev/null >/dev/null 2>&1 &
  echo $! >"$number"
}
# alive FILE: whether the process goes on whose number is in it. Another one may have the number by now.
alive() {
  [ -e "$1" ] && read -r pid <"$1" || return
  case $(ps -ww -o command= -p "$pid" 2>/dev/null) in *"${1%/*}/"*) ;; *) false ;; esac
}
# end FILE: ends that process and all that it has started, and waits until it is gone.
end() {
  alive "$1" || return 0
  kill -KILL "-$pid" 2>/dev/null || kill -KILL "$pid"
  tries=100
  while [ $tries -gt 0 ] && alive "$1"; do
    tries=$((tries - 1))
    sleep 0.02
  done
}
active() { alive "$1/pid"; }
# working WORDS: whether a process runs one of these scripts of an activation. Everybody sees command lines, whoever they belong to.
working() { ps axww -o command= | grep -Eq "^/bin/sh $hub/[^/ ]+/($1)( |\$)"; }
busy() { working 'run|revert'; }
activating() { working 'run|revert|timer'; }
goes_down() { false; }
launch() { detach "$1/pid" /bin/sh "$1/run"; }
is_armed() { alive "$hub/$1/$2.pid"; }
disarm() {
  of=$1
  shift
  for name in "$@"; do
    # A timer that has gone off is this very process.
    { read -r pid <"$hub/$of/$name.pid"; } 2>/dev/null && [ "$pid" != $$ ] && end "$hub/$of/$name.pid"
  done
}
reverts() { is_armed "$1" now || is_armed "$1" revert || is_armed "$1" confirm || is_armed "$1" longer; }
waits() { [ -e "$hub/$1/revert" ] && { active "$hub/$1" || reverts "$1"; }; }
revert_now() { detach "$hub/$1/now.pid" /bin/sh "$hub/$1/revert" "$2"; }
