# A command, or a shell, in the working copy of a sandbox; before command.sh.
# `directory` is the sandbox's, `uid` the life's. `seconds` is how long a command may take; the others are the limits of each
# process: CPU seconds, KiB of memory, blocks of 512 bytes of a file, open files. No limit is `-`.
parameters directory uid seconds cpu memory blocks open

# A login's own limit that is lower stays.
limit() { # option, value
  [ "$2" != - ] || return 0
  now=$(ulimit "-$1")
  [ "$now" != unlimited ] && [ "$now" -le "$2" ] && return
  ulimit "-$1" "$2" || exit 1
}

# The mark by which a teardown finds what was started here. The shell below has it before it enters the directory, so a
# teardown, which takes the directory away and then looks for the mark, misses nothing.
export SANDBOXER_SANDBOX="$uid"
# shellcheck disable=SC2016 # for the shell below
within='
  cd -P "$1/work" 2>/dev/null || { echo "the working copy $1/work is missing: run sandboxer plan" >&2; exit 1; }
  if [ -f "$1/env" ]; then
    while IFS= read -r sandboxer_line; do
      case $sandboxer_line in SANDBOXER_SANDBOX=* | sandboxer_*) continue ;; esac # the mark stays
      sandboxer_value=$(printf "%b." "${sandboxer_line#*=}")
      export "${sandboxer_line%%=*}=${sandboxer_value%.}"
    done <"$1/env"
  fi
  for sandboxer_line in "$1"/secrets/*; do
    [ -f "$sandboxer_line" ] || continue
    sandboxer_value=$(cat "$sandboxer_line"; printf .)
    sandboxer_line=${sandboxer_line##*/}
    export "${sandboxer_line%%.*}=${sandboxer_value%.}"
  done
  shift
  unset sandboxer_line sandboxer_value
  [ "$#" -gt 0 ] || exec "${SHELL:-sh}" -l
  exec "$@"'

enter() { # words
  limit t "$cpu"; limit v "$memory"; limit f "$blocks"; limit n "$open"
  [ "$#" -gt 0 ] && given=yes || given=
  set -- sh -c "$within" sh "$directory" "$@"
  if [ "$terminal" = yes ]; then stty sane; exec "$@"; fi
  if [ -z "$given" ]; then exec "$@"; fi
  [ "$seconds" = - ] || set -- timeout -k 5 "$seconds" "$@"
  watched "$@"
  exit "$code"
}
