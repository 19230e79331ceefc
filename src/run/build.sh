# Builds, and ends the build when the connection does: whoever listens is told now and then that it goes on, and is gone when
# that fails.
exec 2>&1
{command} &
build=$!
echo "hubctl-build:$build"
(
  trap '' PIPE
  # What sleeps must not hold the connection open after the build.
  while sleep 1 >/dev/null 2>&1 && kill -0 $build 2>/dev/null; do
    echo hubctl-build:on 2>/dev/null || kill $build
  done
) &
watch=$!
wait $build
code=$?
kill $watch
exit $code
