# Arms the timer that takes the activation back unless somebody confirms it. What it does then is done by the programs of the
# system that runs now, under their own store paths: of the new one, and of the network, nothing is known.
# Store paths, and so without blanks.
# shellcheck disable=SC2046
set -- $(readlink -f /run/current-system "$profile")
old=$1 kept=$2
if [ -x "$old/bin/switch-to-configuration" ] && [ -x "$old/sw/bin/sh" ]; then
  {{
    printf 'd=%s\nid={id}\nold=%s\nkept=%s\nlink=%s\n' "$directory" "$old" "$kept" "$(readlink "$profile")"
    printf '%s\n' {revert}
  }} >"$directory/revert"
  # Nothing else may hold the old system once the new one runs.
  [ -d "$roots" ] || mkdir -p "$roots"
  ln -sfn "$old" "$roots/hubctl-{id}"
  # A oneshot service would count as starting while it runs, and switch-to-configuration waits for what starts.
  arm="--collect --quiet --no-ask-password --service-type=exec --timer-property=AccuracySec=1s"
  cat >"$directory/rearm" <<HUBCTL
seconds=\${{1:-{confirm}}}
$old/sw/bin/systemd-run "--unit=hubctl-confirm-{id}\$2" "--on-active=\$seconds" $arm \
  "--description=hubctl takes back what nobody confirms" $old/sw/bin/sh $directory/revert "it was not confirmed within \$seconds s"
HUBCTL
  # shellcheck disable=SC2086 # these are words.
  if ! said=$(systemd-run --unit=hubctl-revert-{id} --on-active={patience} $arm \
    "--description=hubctl takes back what does not end" "$old/sw/bin/sh" "$directory/revert" 'it did not end in time' 2>&1); then
    rm -rf "$directory" "$roots/hubctl-{id}"
    printf '%s\n' "$said" >&2
    exit 1
  fi
else
  answer unguarded
fi
