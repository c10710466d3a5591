# One session about one sandbox: takes its lock, then carries out the requests on standard input, one at a time.
# serve.sh, behind the verbs of a backend, begins it. The other scripts that work under a lock use these functions too.
# A request is a line `<verb> <count of arguments> <bytes of payload> <seconds>`, then the arguments, a line each, then
# the payload. The reply is a line `@<nonce> <exit code> <bytes>`, then so many bytes. A verb that has not ended within
# its seconds is ended here, even if it ignores TERM, and the reply says so: code 72.
# While another client has the lock, the first reply names the holder: code 73, and the content of the lock's file.
# When the client has the reply it sends a line `E`, and all the while, at least every 30 s, an empty one. If the client
# is gone, everything here ends, the lock with it: there is no stale lock.
umask 077
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
  case $name in HOME | PATH | LC_ALL | DOCKER_HOST | XDG_RUNTIME_DIR | PWD) ;; *) unset "$name" 2>/dev/null ;; esac
done

# Where the sandbox and its lock are, once the parameters are read.
locate() { home=$root/$fleet directory=$home/$id lock=$home/.locks/$id; }

answer() { printf '@%s %s %s\n%s' "$nonce" "$1" "${#2}" "$2"; }
refuse() { answer "$1" "$2"; exit 0; }
EX_REFUSED=77 EX_LOCKED=75 EX_STALE=74 EX_WAITING=73

# All processes that this shell started: those of its session, because `timeout` makes a separate group. If the session
# has somebody else's processes, which no sshd does, those of its group.
read -r words <"/proc/$$/stat"
# shellcheck disable=SC2086 # the words behind the program's name: state, parent, group, session
set -- ${words##*) }
group=$3; [ "$4" = "$$" ] && session=$4 || session=
members() {
  for stat in /proc/[0-9]*/stat; do
    read -r words <"$stat" || continue
    # shellcheck disable=SC2086
    set -- "${words%% *}" ${words##*) }
    if [ -n "$session" ]; then [ "$5" = "$session" ]; else [ "$4" = "$group" ]; fi && [ "$2" != Z ] && echo "$1"
  done 2>/dev/null
}
# Gives them two seconds to end by themselves. Processes started meanwhile are ended too.
end_work() { # processes to spare...
  read -r self _ </proc/self/stat
  spared=" $self $* "
  if command -v end_builds >/dev/null; then end_builds; fi # their steps are no children of ours
  for signal in TERM KILL KILL KILL KILL KILL; do
    others=
    for process in $(members); do case $spared in *" $process "*) ;; *) kill "-$signal" "$process" && others=yes ;; esac; done 2>/dev/null
    [ -n "$others" ] || return 0
    [ "$signal" = KILL ] || sleep 2
  done
}
# A sandbox that its client removed before it was gone leaves nothing here, its lock included.
end_all() { trap '' TERM; end_work "$$"; leave; kill -KILL "$$"; exit 1; }

# Only a directory of ours, and no link: another user of the machine could have put one into /tmp first.
own_root() { safe_way; own_folder "$root"; safe_way; }
safe_way() { way_to_root; [ -z "$unsafe" ] || refuse $EX_REFUSED "$unsafe; set another spec.root on the Host, such as /var/lib/sandboxer"; }
own_folder() {
  [ -L "$1" ] && refuse $EX_REFUSED "$1 is a symbolic link; remove it, or set another spec.root on the Host"
  mkdir -p "$1" 2>/dev/null
  owner=$(stat -c %u "$1" 2>/dev/null) || owner=$(mkdir -p "$1" && stat -c %u "$1") || refuse $EX_REFUSED "$1 cannot be made: $(mkdir -p "$1" 2>&1)"
  [ -d "$1" ] || [ ! -e "$1" ] || refuse $EX_REFUSED "$1 is no directory; remove it, or set another spec.root on the Host"
  [ "$owner" = "$(id -u)" ] || refuse $EX_REFUSED "$1 belongs to user id $owner, not to the login user ($(id -u)); remove it, or set another spec.root on the Host"
  chmod 700 "$1"
}

# A client that deletes a sandbox removes its lock's file too, so the locked file must still be the one in place.
lock_in_place() { [ "$(stat -c %i "$lock" 2>/dev/null)" = "$(stat -L -c %i "/proc/$$/fd/9")" ]; }

take_lock() {
  left=$lock_seconds until_second=$(($(date +%s) + lock_seconds)) tries=0
  uid=$(id -u)
  while :; do
    ours=$(printf '%s 700 directory\n' "$uid" "$uid" "$uid")
    safe_way
    [ "$(stat -c '%u %a %F' "$root" "$home" "$home/.locks" 2>/dev/null)" = "$ours" ] || {
      own_root; own_folder "$home"; own_folder "$home/.locks"; }
    # A client that removes the fleet's last sandbox here may just have removed a directory again.
    command exec 9>>"$lock" || { tries=$((tries + 1)); [ "$tries" -lt 10 ] && continue; refuse $EX_REFUSED "$lock cannot be written: $( { : >>"$lock"; } 2>&1)"; }
    flock -n 9 || { [ "$left" -gt 0 ] && answer $EX_WAITING "$(head -c 400 "$lock")" && timeout "$left" flock 9; } ||
      refuse $EX_LOCKED "$(head -c 400 "$lock")"
    lock_in_place && cd -P "$root" && break
    left=$((until_second - $(date +%s))); [ "$left" -gt 0 ] || left=0
  done 2>/dev/null
  printf '%s\n%s\n%s\n' "$holder" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$$" >"$lock"
}

# Reads all bytes of a request's payload and not one more, even if the verb takes none of them: the rest would be read
# as requests, and it is a stranger's file. So a full disk does not end the reading. A client that stalls for 30 s is
# gone, and so is one that sent only a part: tar would take what ends between two files for all of them.
take() {
  trap '' PIPE
  left=$payload
  while [ "$left" -gt 0 ]; do
    part=262144; [ "$left" -lt "$part" ] && part=$left
    { read_as=$(timeout 30 dd bs="$part" count=1 iflag=fullblock 2>&1 >&4 9>&-); } 4>&1
    case $read_as in *"1+0 records in"*) ;; *) end_all ;; esac
    left=$((left - part))
  done
}

# A file is whole or missing: written beside its path, its size compared, then renamed. What ownership and recovery
# depend on survives a power cut too (durably); what is delivered need not, because it can be delivered again.
put_file() { # path, bytes, mode, durably or nothing
  # A concurrent sweep removes an empty directory: it is created again until there is something in it.
  for _ in 1 2 3 4 5; do mkdir -p "${1%/*}" && command : >"$1.new" && break; done 2>/dev/null
  mkdir -p "${1%/*}" && cat >"$1.new" && [ "$(stat -c %s "$1.new")" = "$2" ] && chmod "$3" "$1.new" &&
    { [ -z "$4" ] || sync "$1.new"; } && mv -f "$1.new" "$1" && { [ -z "$4" ] || sync "${1%/*}"; }
}

# An event is on disk before the record that counts it. A line truncated by a kill is ended, and is not an event.
write_events() { # folder, events...
  journal=$1/journal.jsonl; shift
  [ "$#" -gt 0 ] || return 0
  [ ! -L "$journal" ] || rm -f "$journal"
  [ ! -s "$journal" ] || [ -z "$(tail -c 1 "$journal")" ] || echo >>"$journal"
  printf '%s\n' "$@" | cat >>"$journal" && sync "$journal" # the shell's own printf does not say that a disk is full
}

# The events of a life that State Hub has not acknowledged: those behind the one that the cursor names.
unacknowledged() { # a sandbox's folder
  [ -f "$1/journal.jsonl" ] && [ ! -L "$1/journal.jsonl" ] || return 0
  read -r uid number 2>/dev/null <"$1/journal.acked" || uid='' number=''
  case $number in '' | *[!0-9]*) cat "$1/journal.jsonl" ;; *) behind "$1/journal.jsonl" ;; esac
}
# The part of a file behind the event of this uid and number: all of it, if the event is not in it.
behind() {
  line="\"number\":$number,.*\"uid\":\"$uid\""
  if grep -q "$line" "$1"; then sed -n "/$line/,\$p" "$1" | tail -n +2; else cat "$1"; fi
}

# --- verbs -------------------------------------------------------------------------------------------------------

# The id of a directory that was being created or removed: from its record, or before there is one from its name.
id_within() {
  grep -o '"id":"[0-9a-f]\{8\}"' "$1/record.json" 2>/dev/null | head -n 1 | cut -d '"' -f 4
  for part in "$1"/*; do part=${part##*/}; case ${part%.new} in ????????) echo "${part%.new}" ;; esac; done
}

# Sweeps only what is ours by its name and by its content, whose id is the one whose lock is held.
do_sweep() { # engine
  engine=$1
  for folder in "$home"/.staging-* "$home"/.trash-*; do
    [ -d "$folder" ] && [ ! -L "$folder" ] || continue
    if id_within "$folder" | grep -q -x "$id"; then discard "$folder"; else rmdir "$folder" 2>/dev/null; fi
  done
  return 0
}

# The last whole event may be a long one, and torn ones may follow it.
do_journal_end() { tail -c 524288 "$directory/journal.jsonl" | tail -n 5; } 2>/dev/null
do_record() { [ -f "$directory/record.json" ] && [ ! -L "$directory/record.json" ] && head -c 1048577 "$directory/record.json"; return 0; }

# The directory appears with its record in it, or not at all. One that lost its record to a cleaner of /tmp is adopted.
# Behind the record in the payload are the given number of bytes: what an imperative sandbox was requested with.
# If the name is given, no other sandbox of the fleet here may have it.
do_begin() { # uid, new or adopt, how many sandboxes at most (0: any), bytes behind the record, name, events...; the record
  staging=$home/.staging-$1 mode=$2 most=$3 behind=$4 name=$5; shift 5
  put_file "$staging/$id" "$payload" 600 durably && keep_request "$behind" && write_events "$staging" "$@" &&
    mv "$staging/$id" "$staging/record.json" || return 1
  [ "$mode" = adopt ] && [ -L "$directory/record.json" ] && rm -f "$directory/record.json" # a link is no record
  if [ "$mode" = adopt ] && [ -d "$directory" ] && [ ! -L "$directory" ] && [ ! -e "$directory/record.json" ]; then
    [ ! -e "$staging/asked.json" ] || mv -f "$staging/asked.json" "$directory/asked.json" || return 1
    write_events "$directory" "$@" && mv "$staging/record.json" "$directory/record.json" && rm -f "$staging/journal.jsonl" && rmdir "$staging" && sync "$directory"
    return
  fi
  [ ! -e "$directory" ] || { discard "$staging"; echo "$directory is there already"; return $EX_STALE; }
  move_in || return
  sync "$directory" "$home" && do_forget_tombstone
}

keep_request() { # bytes
  [ "$1" -gt 0 ] || return 0
  tail -c "$1" "$staging/$id" | put_file "$staging/asked.json" "$1" 600 durably &&
    head -c "$((payload - $1))" "$staging/$id" | put_file "$staging/$id" "$((payload - $1))" 600 durably
}

# A client that adds a sandbox of the fleet to this host counts and adds under one lock, which ends with the verb. So
# clients together exceed no limit, and use no name twice.
move_in() {
  if [ "$most" -gt 0 ] || [ -n "$name" ]; then
    { command exec 8>>"$home/.locks/.placement" && timeout 30 flock 8; } || {
      discard "$staging"; echo "$home/.locks/.placement cannot be locked"; return 1; }
    set -- "$home"/*/record.json
    [ "$most" = 0 ] || [ ! -f "$1" ] || [ "$#" -lt "$most" ] || {
      discard "$staging"; echo "$# sandboxes of the fleet are there, and spec.capacity is $most"; return $EX_STALE; }
    [ -z "$name" ] || ! has_name "$home" "$name" || {
      discard "$staging"; echo "a sandbox $name exists now"; return $EX_STALE; }
  fi
  mv "$staging" "$directory"
}

# The record is replaced only if it still is the one that the client observed: a late writer is fenced off.
do_rewrite() { # SHA-256 of the record to replace, events...; the new record
  former=$1; shift
  put_file "$directory/.record.next" "$payload" 600 durably || return 1
  [ "$(sha256sum <"$directory/record.json" | cut -d' ' -f1)" = "$former" ] || {
    rm -f "$directory/.record.next"; echo "the record changed meanwhile"; return $EX_STALE; }
  write_events "$directory" "$@" && mv -f "$directory/.record.next" "$directory/record.json" && sync "$directory" || return 1
  # The text of a failure ends with the error on record; one that a kill leaves behind belongs to none. The record is
  # written, whether that can be removed or not.
  grep -q -F '"error":{"at":"' "$directory/record.json" || rm -f "$directory/last-error.txt" || return 0
}

do_show() { cat "$directory/$1"; } # path below the sandbox's folder
do_put() { put_file "$directory/$1" "$payload" "$2" ''; } # path below the sandbox's folder, mode; the content

do_tombstone() { put_file "$home/.tombstones/$id.json" "$payload" 600 durably; }
do_forget_tombstone() { [ -d "$home/.tombstones" ] && rm -f "$home/.tombstones/$id.json" && rmdir "$home/.tombstones" 2>/dev/null; return 0; }

# The rename makes the removal atomic for everybody else; the record goes last, so that a kill leaves it sweepable.
do_remove() { # engine, uid; and the last event, for State Hub
  engine=$1 trash=$home/.trash-$2
  [ -d "$directory" ] && { keep_journal "$2" "$3" && mv "$directory" "$trash" || return 1; }
  do_sweep "$engine"
  [ ! -e "$trash" ]
}

# The path of a record, of any fleet below this root, that belongs to one of these lives; nothing if there is none.
do_claim() { # uids...
  for record in "$root"/*/*/record.json; do
    [ -f "$record" ] && [ ! -L "$record" ] || continue
    for uid in "$@"; do grep -q -F "\"uid\":\"$uid\"" "$record" && { echo "$record"; return 0; }; done
  done
  return 0
}

# The directory of a sandbox that never had a record, or lost it. Under its id in the trash, a kill leaves it sweepable.
do_remove_unrecorded() { # engine, uid
  engine=$1 trash=$home/.trash-$2
  [ -e "$directory" ] || [ -L "$directory" ] || return 0
  [ ! -L "$directory" ] && [ ! -e "$directory/record.json" ] || { echo "$directory has a record, or is a link"; return $EX_STALE; }
  mkdir -p "$trash" && mv "$directory" "$trash/$id" || return 1
  do_sweep "$engine"
  [ ! -e "$trash" ]
}

# Events that State Hub has not acknowledged outlive the sandbox, the last one included; once per life, at most 1 MiB.
keep_journal() { # uid, the last event or nothing
  kept=$home/.journals/$id.jsonl
  [ -n "$2" ] && ! grep -F "$1" "$kept" 2>/dev/null | grep -q '"type":"dev.sandboxer.sandbox.destroyed"' || return 0
  { [ ! -L "$home/.journals" ] && mkdir -p "$home/.journals"; } || { echo "$home/.journals cannot be made"; return 1; }
  # An empty line ends one torn by a power cut, and is not an event.
  rm -f "$kept.new" && { cat "$kept" 2>/dev/null; unacknowledged "$directory"; [ -z "$(tail -c 1 "$directory/journal.jsonl" 2>/dev/null)" ] || echo; printf '%s\n' "$2" | cat; } | tail -c 1048576 >"$kept.new" &&
    sync "$kept.new" && mv -f "$kept.new" "$kept" && sync "$home/.journals"
}

# The login may not be able to remove what something in a sandbox wrote as root. A backend's script appends a function to
# `removers` that removes such a path or what is in it, by means of `engine`; it may put a message into `output`.
removers=
# What a backend's script has to remove at the end of an apply, by means of `engine`, beyond leftovers: functions without
# parameters, of which each decides by itself what nobody needs.
sweepers=
# Removes a file or link that the login can remove, whoever owns it; or an empty directory.
force_remove() { # path
  output=
  [ "$(id -u)" = 0 ] || [ -z "$engine" ] || for remover in $removers; do "$remover" "$1"; done
  why=$(rm -rf -- "$1" 2>&1) && return
  printf '%s\n' "$1 cannot be removed: it holds files of another user" "$output" "$why" | head -c 4096
  return 1
}
discard() {
  for entry in "$1"/* "$1"/.[!.]*; do
    case $entry in */record.json) continue ;; esac
    { [ -e "$entry" ] || [ -L "$entry" ]; } && { rm -rf "$entry" 2>/dev/null || force_remove "$entry"; }
  done
  # A leftover keeps its record, which says whose lock is to be held to try again.
  # shellcheck disable=SC2010 # whether there is any other name, whatever it is
  ls -A "$1" | grep -q -v -x record.json || { rm -f "$1/record.json"; rmdir "$1"; }
}
# If the sandbox does not exist, nothing of it stays, its lock included.
leave() { [ -e "$directory" ] || [ -L "$directory" ] || { rm -f "$lock"; leave_no_empty_home; }; }

# If the fleet has nothing here any more, the newest of its commits means nothing either.
# shellcheck disable=SC2010 # whether there is any other name, whatever it is
leave_no_empty_home() {
  rmdir "$home/.journals" 2>/dev/null
  ls -A "$home" 2>/dev/null | grep -q -v -x -F -e .locks -e .head.json || {
    ls -A "$home/.locks" 2>/dev/null | grep -q -v -x -F -e .head -e .placement ||
      rm -f "$home/.head.json" "$home/.locks/.head" "$home/.locks/.placement"
  }
  rmdir "$home/.locks" 2>/dev/null; rmdir "$home" 2>/dev/null; rmdir "$root" 2>/dev/null; return 0
}

# --- the session -------------------------------------------------------------------------------------------------

# Each command of a verb runs without the lock's descriptor, so that what outlives its verb holds no lock.
serve() {
  while request=$(timeout 30 sh -c "$read_request" 9>&-); do
    rest=${request#*"$newline"}
    # shellcheck disable=SC2086 # four words
    set -- ${request%%"$newline"*}
    case ${1:-E} in E) continue ;; esac # nothing but that the client lives
    verb=$1 count=$2 payload=$3 seconds=${4:-60}; set --
    while [ "$count" -gt 0 ]; do set -- "$@" "${rest%%"$newline"*}"; rest=${rest#*"$newline"} count=$((count - 1)); done
    { take; heed; } | { command exec 4>&1; out=$(perform "$verb" "$@" | gather "$seconds"); reply "$out"; }
  done
}
# Reads a whole request, without its payload: if the client is interrupted in the middle of one, the rest never comes.
# shellcheck disable=SC2016 # for another shell
read_request='
  IFS= read -r line && printf "%s\n" "$line" || exit
  set -- $line
  left=${2:-0}
  while [ "$left" -gt 0 ]; do IFS= read -r line && printf "%s\n" "$line" || exit; left=$((left - 1)); done
  echo .'
# A verb's exit code comes behind its output, marked as ours; without it, the verb was ended for printing too much.
MOST_OUTPUT=4194304 EX_TOO_MUCH=76 EX_OVER=72 newline='
'
perform() {
  verb=$1; shift
  is_live || command exec 4>&-
  { in_root && "do_$verb" "$@"; } 2>&1 9>&-
  printf '\n%s %s' "$nonce" "$?"
}
# The client gets what these verbs print as it comes, too: lines without a mark, which stand for nothing, in at most
# 2,000 pieces. The reply has all of it. A backend's script appends to them.
live_verbs=
is_live() { case " $live_verbs " in *" $verb "*) ;; *) return 1 ;; esac; }
live() { # command...
  { code=$({ { "$@" 2>&1 4>&- 6>&- 8>&-; echo "$?" >&8; } | tee /proc/self/fd/6 | { dd bs=1024 count=2000 2>/dev/null >&4; cat >/dev/null; }; } 8>&1); } 6>&1
  return "${code:-1}"
}
# The current directory is the root whose lock we took. The path must still lead to the same one, by device and inode:
# otherwise nothing more is written or started.
in_root() { [ . -ef "$root" ] || { echo "$root is no longer the folder that was locked"; return $EX_REFUSED; }; }
reply() { # what a verb printed, with its mark
  if is_live; then echo; fi # a line that is not whole ends before the mark
  case $1 in
    *"$newline$nonce over") is_over ;;
    *"$newline$nonce "[0-9] | *"$newline$nonce "[0-9][0-9] | *"$newline$nonce "[0-9][0-9][0-9])
      code=${1##* }; answer "$code" "${1%"$newline$nonce $code"}" ;;
    *) answer $EX_TOO_MUCH "it printed more than $MOST_OUTPUT bytes" ;;
  esac
}
is_over() { answer $EX_OVER "$verb did not end within $seconds s, and was ended"; }
# The output of a verb, until it ends, its time is over, or it has printed too much. `$()` waits for all of it, so what
# still runs then is ended; only this shell, the processes that wait for it, and the session stay.
gather() { # seconds
  { copied=$(timeout "$1" dd bs=65536 count=64 iflag=fullblock 2>&1 >&5 5>&- 9>&-); } 5>&1
  case $?-$copied in
    0-*"64+0 records in"*) over= ;;
    0-*) return ;;
    *) over=yes ;;
  esac
  # shellcheck disable=SC2046 # numbers
  end_work $(forebears)
  [ -z "$over" ] || printf '\n%s over' "$nonce"
}
forebears() {
  read -r _ _ _ above _ </proc/self/stat
  while [ "$above" != "$$" ] && [ "$above" -gt 1 ]; do echo "$above"; read -r _ _ _ above _ <"/proc/$above/stat"; done
  echo "$$"
}
# While a verb runs, input from its client is read one byte at a time: no more than is meant for this function.
heed() {
  exec >&-
  while :; do
    case $(timeout 30 dd bs=1 count=1 2>/dev/null 9>&-; echo .) in E.) return ;; "$newline.") ;; *) end_all ;; esac
  done
}
