# Runs a command that takes long, and ends it when the connection ends: whoever listens is told now and then that it goes on, and
# is gone when that fails.
exec 2>&1
{command} &
long=$!
echo "hubctl-long:$long"
(
  trap '' PIPE
  # What sleeps must not hold the connection open after the command.
  while sleep 1 >/dev/null 2>&1 && kill -0 $long 2>/dev/null; do
    echo hubctl-long:on 2>/dev/null || kill $long
  done
) &
watch=$!
wait $long
code=$?
kill $watch
exit $code
