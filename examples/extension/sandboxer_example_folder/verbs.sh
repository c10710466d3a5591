# The verbs of this backend: each function `do_<verb>` answers a call of that name. The session sets `directory`, the
# sandbox's directory, and holds its lock. Values come as arguments, contents on standard input.
# shellcheck shell=dash disable=SC2154

# How many files a directory has, and the sums of their sizes and times of change. Fails if that is unknown.
sums() { # folder
  listed=$(find "$1" -type f -exec stat -c %s:%Y {} +) || return 1
  files=0 bytes=0 seconds=0
  for pair in $listed; do
    files=$((files + 1)) bytes=$((bytes + ${pair%:*})) seconds=$((seconds + ${pair#*:}))
  done
  echo "$files $bytes $seconds"
}

# All files come beside their path and are renamed: an interrupted delivery leaves the former files as they were.
do_deliver() { # digest; a tar
  new=$directory/workspace.new
  rm -rf "$new" && mkdir -p "$new/tree/$1" && tar -x -o -p -f - -C "$new/tree/$1" &&
    rm -rf "$directory/workspace" && mv "$new" "$directory/workspace" && return
  rm -rf "$new"; return 1
}

do_sums() { sums "$directory/workspace"; }
