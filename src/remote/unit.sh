# What the transient unit of an activation runs, or the process in its place.
{dialect}
d=$hub/{id}
PATH=$PATH:{toplevel}/sw/bin
stage=switch
# Whoever follows the activation waits for this lock, which goes with the end of it; what it starts must not have it.
command -v flock >/dev/null && exec 9>"$d/lock" && flock 9
: >"$d/log"
mkfifo "$d/pipe"
tee -a "$d/log" <"$d/pipe" 9>&- &
tee=$!
{{
  {begins}
  {set_profile}
  code=$?
  if [ $code != 0 ]; then
    stage=profile
  else
    {switch}
    code=$?
    {ends}
  fi
}} >"$d/pipe" 2>&1 9>&-
# What the new system started may hold the pipe open; its output is the journal's business.
n=0
while kill -0 $tee 2>/dev/null && [ $n -lt 100 ]; do
  sleep 0.01
  n=$((n + 1))
done
[ -e "$d/rearm" ] && /bin/sh "$d/rearm" 9>&-
printf '%s %s\n' "$stage" "$code" >"$d/exit.new"
mv "$d/exit.new" "$d/exit"
