# Tells of files with secrets what they are, and nothing of what is in them. `each` calls its argument for those that are wanted, `tries`
# says how often they are looked for before one is told to be missing, and `others` has those told as well that nobody asked for.
about() {
  stat -L -c '%a %u %U %g %G %s' -- "$1" 2>/dev/null || stat -L -f '%Lp %u %Su %g %Sg %z' -- "$1" 2>/dev/null || echo '- - - - - -'
}
tell() { if [ -e "$1" ]; then printf 'there=%s %s\n' "$(about "$1")" "$1"; else printf 'missing=%s\n' "$1"; fi; }
is_there() { [ -e "$1" ] || all=; }
while :; do
  all=1
  each is_there
  tries=$((tries - 1))
  if [ -n "$all" ] || [ "$tries" -le 0 ]; then break; fi
  sleep 1
done
each tell
if [ -n "$others" ]; then
  for directory in /run/agenix /run/secrets; do
    find -L "$directory" -type f 2>/dev/null | while IFS= read -r path; do tell "$path"; done
  done
fi
:
