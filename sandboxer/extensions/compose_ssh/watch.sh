# Which containers a sandbox has, again and again, until whoever reads is gone.
# `seconds` are those between two rounds.
# A container is a line `<id>|<state>|<when it started>|<service>|<number>|<one-off>`, and a round ends with the line `@`.
parameters engine fleet id uid seconds
format='{{.Id}}|{{.State.Status}}|{{.State.StartedAt}}|{{index .Config.Labels "com.docker.compose.service"}}|{{index .Config.Labels "com.docker.compose.container-number"}}|{{index .Config.Labels "com.docker.compose.oneoff"}}'
listed() {
  ids=$(timeout 20 "$engine" ps -a -q --no-trunc --filter "label=dev.sandboxer.fleet=$fleet" --filter "label=dev.sandboxer.id=$id" --filter "label=dev.sandboxer.uid=$uid" </dev/null) || return
  # shellcheck disable=SC2086 # ids are words
  [ -z "$ids" ] || timeout 20 "$engine" inspect --type container --format "$format" $ids </dev/null
}
# A round in which a container went between two questions, or the engine did not answer, is none.
while :; do
  round=$(listed 2>/dev/null) && printf '%s\n@\n' "$round"
  timeout "$seconds" dd bs=1 count=1 >/dev/null 2>&1
  [ "$?" = 124 ] || exit 0
done
