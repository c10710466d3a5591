# Follows the log of one container, until the container stops or the reader is gone.
# `tail` is how many lines to begin with (all or a number), `timestamps` is yes or no, `since` a time or empty.
# At the end it prints on standard error from which time the log continues should the container start again.
parameters engine id tail timestamps since
[ "$tail" = all ] && tail= # which Podman has no word for
[ "$timestamps" = yes ] && timestamps=--timestamps || timestamps=
case $engine in
  podman) format='{{.State.FinishedAt.UTC.Format "2006-01-02T15:04:05.000000000Z07:00"}}' ;;
  *) format='{{.State.FinishedAt}}' ;;
esac
finished() { timeout 20 "$engine" inspect --type container --format "$format" "$id" 2>/dev/null </dev/null; }
# As precise as this `date` can be; whole seconds are the earlier moment.
clock() {
  moment=$(date -u +%Y-%m-%dT%H:%M:%S.%N)
  case $moment in *.[0-9]*[0-9]) echo "${moment}Z" ;; *) date -u +%Y-%m-%dT%H:%M:%S.000000000Z ;; esac
}
began=$(clock)
# shellcheck disable=SC2086 # an option or none
"$engine" logs --follow ${tail:+--tail "$tail"} $timestamps ${since:+--since "$since"} "$id" 2>&1 </dev/null &
child=$!
# The end of standard input is how this side learns that the reader is gone.
exec 3<&0
{ cat >/dev/null; kill "$child"; } <&3 2>/dev/null &
waiter=$!
exec 3<&-
wait "$child"
code=$?
since=$(clock)
after=$(finished) || after=
kill "$waiter" 2>/dev/null
# If the log ended and its container did not, it continues from now, else from the moment that the container stopped at.
[ "$(printf '%s\n' "$began" "$after" | sort | tail -n 1)" = "$began" ] || since=$after
[ -z "$after" ] || echo "@since $since" >&2
exit "$code"
