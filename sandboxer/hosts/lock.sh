# Finds the lock holder of one sandbox, and ends it if requested; behind session.sh. Creates no file.
# `wish` is `ask` or `end`. Prints a line of three words, and then the content of the lock's file:
# held or free; here or away, for whether the sandbox is on this host; ended or kept, for what became of the holder.
parameters root fleet id wish
locate

# A client that waits for a lock has its file open as well; for the holder's descriptor, the kernel shows `lock:`.
holders() { # gives their process groups
  # shellcheck disable=SC2013 # these paths have no blank
  for info in $(grep -l '^lock:' /proc/[0-9]*/fdinfo/9 2>/dev/null); do
    process=${info%/fdinfo/9}
    { [ -O "$process" ] && [ "$process/fd/9" -ef "$lock" ] && read -r words <"$process/stat"; } || continue
    # shellcheck disable=SC2086 # the words behind the program's name: state, parent, group
    set -- ${words##*) }
    echo "$3"
  done 2>/dev/null | sort -u
}

end_holders() {
  groups=$(holders); [ -n "$groups" ] || return 1
  for signal in TERM KILL; do
    # If a holder leads its session, all processes in that: `timeout` leaves the group.
    for session in $(holders | grep -x -F "$groups"); do
      # shellcheck disable=SC2046 # words
      kill "-$signal" "-$session" $(members) 2>/dev/null
    done
    tries=0
    while holders | grep -q -x -F "$groups"; do
      tries=$((tries + 1)); [ "$tries" -lt 50 ] || continue 2
      sleep 0.1
    done
    return 0
  done
  return 1
}

# Opened for reading, so that nothing is created; a client that requests the lock in this instant waits only for that.
is_held() { [ -f "$lock" ] && [ ! -L "$lock" ] && command exec 9<"$lock" && ! flock -n -s 9; }

state=free here=away end=kept content=
if ours; then
  [ -e "$directory" ] && here=here
  is_held && state=held content=$(head -c 400 "$lock")
  if [ "$wish" = end ] && [ "$state" = held ]; then
    end_holders && end=ended
    is_held || state=free
    [ "$state" = free ] && flock -n 9 && lock_in_place && leave
  fi
fi
printf '%s %s %s\n%s\n' "$state" "$here" "$end" "$content"
