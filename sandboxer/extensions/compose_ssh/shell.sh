# A command, or a shell, in a container or in the workspace on the host; before command.sh.
# The container's id is empty for the workspace, whose directory is `folder`; `fresh` is a fresh word.
parameters engine id folder fresh

in_workspace() {
  cd "$folder" || exit 1
  [ "$terminal" = yes ] && stty sane
  [ "$#" -gt 0 ] && [ "$terminal" = yes ] && exec "$@"
  [ "$#" -gt 0 ] && { watched "$@"; exit "$code"; }
  exec "${SHELL:-sh}" -l
}

# An engine's client that ends leaves what it started in the container. End that too: its environment identifies it.
hang_up() {
  # shellcheck disable=SC2016 # for the shell in the container
  timeout 20 "$engine" exec "$id" sh -c '
    for file in /proc/[0-9]*/environ; do
      if grep -q "SANDBOXER_SHELL=$1" "$file" 2>/dev/null; then file=${file%/environ}; kill -HUP "${file##*/}"; fi
    done' sh "$fresh" </dev/null >/dev/null 2>&1
}

in_container() {
  # shellcheck disable=SC2016 # for the shell in the container
  [ "$#" -gt 0 ] || set -- sh -c 'if command -v bash >/dev/null 2>&1; then exec bash; fi; exec sh'
  if [ "$terminal" = yes ]; then set -- -t -e "TERM=$kind" "$id" "$@"; else set -- "$id" "$@"; fi
  watched "$engine" exec -i -e "SANDBOXER_SHELL=$fresh" "$@"
  [ -z "$gone" ] || hang_up
  exit "$code"
}

enter() { if [ -n "$id" ]; then in_container "$@"; else in_workspace "$@"; fi; }
