# The verbs of a session about a directory to work in; see session.sh for its requests.

# The working copy is made from the delivered tree beside its path, and renamed: it is complete or missing. A file beside
# it names the tree. What works in the former copy ends with it.
do_work() { # the life's uid, digest of the tree, replace or keep
  made=
  read -r made 2>/dev/null <"$directory/work.of"
  if [ -d "$directory/work" ] && [ ! -L "$directory/work" ]; then
    if [ "$made" = "$2" ] || [ "$3" = keep ]; then clear_former; return; fi
  fi
  copied "$2" || { rm -rf "$directory/work.new"; return 1; }
  retire_work && end_processes "$1" && mv "$directory/work.new" "$directory/work" && note_work "$2" && clear_former
}
copied() { rm -rf "$directory/work.new" && cp -a "$directory/workspace/tree/$1" "$directory/work.new" && chmod 700 "$directory/work.new"; } # digest
note_work() { printf '%s\n' "$1" | put_file "$directory/work.of" "$((${#1} + 1))" 600 ''; } # digest
clear_former() { rm -rf "$directory/former" 2>/dev/null || force_remove "$directory/former"; }

# Without its path, nobody starts anything in the working copy any more: exec.sh marks itself before it goes there.
retire_work() {
  rm -f "$directory/work.of"
  if [ -e "$directory/work" ] || [ -L "$directory/work" ]; then clear_former && mv "$directory/work" "$directory/former"; fi
}

do_end() { retire_work && end_processes "$1"; } # the life's uid

# Ends all processes that carry the mark of this life, which exec.sh gives to what it starts: their children have it too,
# whatever session or parent they have now. Whoever works in the directory by other means is not ours, and is left alone.
end_processes() { # the life's uid
  for signal in TERM KILL KILL KILL KILL KILL; do
    for moment in 1 2 3 4 5 6 7 8 9 10; do
      found=$(marked "$1")
      [ -n "$found" ] || return 0
      # shellcheck disable=SC2086 # numbers
      [ "$moment" != 1 ] || kill "-$signal" $found 2>/dev/null
      sleep 0.2 2>/dev/null || sleep 1
    done
  done
  printf 'still running: %s\n' "$found" | head -c 4096; return 1
}

# Their numbers, except those of this session and of whoever started it: a client may itself run in the sandbox. This
# session is read last, because the processes that read it belong to it and may have ended.
marked() { # the life's uid
  carriers=$(grep -l -F "SANDBOXER_SANDBOX=$1" /proc/[0-9]*/environ 2>/dev/null)
  spared=" $(members) $(above "$$") "
  for file in $carriers; do
    process=${file#/proc/}; process=${process%/environ}
    case $spared in *[!0-9]"$process"[!0-9]*) continue ;; esac
    [ ! -d "/proc/$process" ] || echo "$process"
  done
}
above() { # a process; prints it and those above it
  while [ "$1" -gt 1 ]; do
    echo "$1"
    read -r words 2>/dev/null <"/proc/$1/stat" || return 0
    # shellcheck disable=SC2086 # words behind the program's name: state, parent
    set -- ${words##*) }
    shift
  done
}
