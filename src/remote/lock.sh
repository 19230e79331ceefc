# Takes the host's lock: a link whose text says who has it. Of two that make a link of one name, one alone succeeds; it is in
# memory, so that a full disk is not in the way and no boot leaves a lock behind. What the host runs now goes with the answer.
{dialect}
lock=$hub/lock
answer() {{ printf 'hubctl-lock:%s\n' "$*"; }}
said=
tries=20
taken() {{
  # Whoever clears away after a deployment may remove the directory just now.
  [ -d "$hub" ] || {{ mkdir -p "$hub" && chmod 755 "$hub"; }}
  said=$(ln -s {id}" $(date +%s) "{owner} "$lock" 2>&1) && return
  held=$(readlink "$lock")
  case $held in {id}" "*) return ;; esac
  # It may be given back just now.
  [ -n "$held" ] && seen=$(changed "$lock" 2>/dev/null) || return 1
  answer held $(($(date +%s) - seen)) "$held"
  exit
}}
while ! taken; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] && continue
  answer failed "$said"
  exit
done
answer taken
printf 'boot-id=%s\n' "$(boot_id 2>/dev/null)"
printf 'current=%s\nprofile=%s\n' "$(runs)" "$(real "$profile")"
