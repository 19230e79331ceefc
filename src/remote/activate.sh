# Starts an activation that outlives the connection, after checking that this is the right host and that nobody else activates.
{dialect}
answer() {{ printf 'hubctl-start:%s\n' "$*"; [ "$1" = started ]; exit; }}
directory=$hub/{id}
toplevel={toplevel}
expected={hostname}
# This very activation may have begun over a connection that broke before it could say so.
[ -e "$directory/exit" ] && answer started
[ -e "$directory/run" ] && active "$directory" && answer started
{boot_check}
{confirm}
[ ! -e "$directory" ] || rm -rf "$directory"
{root_check}
hostname=$(host_name)
{lock_check}
[ -z "$expected" ] || [ "$hostname" = "$expected" ] || answer wrong-host "$hostname"
objection=$(objects "$toplevel")
[ -z "$objection" ] || answer "$objection"
busy && answer busy

# What is in there is for root alone, but not whose lock it is.
[ -d "$hub" ] || (umask 022 && mkdir -p "$hub")
umask 077
mkdir "$directory" || exit 1
printf '%s\n' {unit_script} >"$directory/new"
mv "$directory/new" "$directory/run"
{arm}
if ! launch "$directory"; then
  {disarm}
  rm -rf "$directory"
  case $said in *already* | *exists*) answer busy ;; esac
  printf '%s\n' "$said" >&2
  exit 1
fi
answer started
