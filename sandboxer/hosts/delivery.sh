# The verbs of a session about delivered files, for every backend; behind files.sh.

# A tree is delivered whole or not at all: it is unpacked beside its path and renamed.
do_deliver() { # digest; a tar
  place=$directory/workspace/tree/$1
  rm -rf "$place.new"; mkdir -p "$place.new" || return 1
  tar -x -o -p -f - -C "$place.new" && rm -rf "$place" && mv "$place.new" "$place" && return
  rm -rf "$place.new"; return 1 # half of it is worth nothing, and may be all of the disk
}

# How many files each delivered tree and each mounted directory has, and the sums of their sizes and times.
do_files() {
  command -v find >/dev/null || return 1
  set --; for folder in "$directory"/workspace/tree/* "$directory"/workspace/bind/*; do [ -e "$folder" ] && set -- "$@" "${folder#"$directory"/workspace/}"; done
  [ "$#" = 0 ] || file_sums "$directory/workspace" 2 "$@"
}

# Removes what the last apply no longer needs. Names to keep are arguments: `tree/<digest>`, `bind/<digest>`, ...
do_tidy() { # engine, names...; prints what is kept, like do_files
  engine=$1; shift; keep=" $* "
  for folder in "$directory"/workspace/*/* "$directory"/secrets/*; do
    [ -e "$folder" ] || continue
    case $keep in *" ${folder#"$directory"/workspace/} "* | *" ${folder#"$directory"/} "*) ;; *) rm -rf "$folder" 2>/dev/null || force_remove "$folder" ;; esac
  done >/dev/null 2>&1
  do_files
}
