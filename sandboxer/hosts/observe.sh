# Observes a host: what a plan needs to know of it and of what is below the root, in one command that writes nothing.
# A backend's own part follows, with parameters of its own.
# Prints sections, each behind a line `@<nonce> <name>`; the last is `end`, without which the observation is incomplete.
parameters nonce root fleet

host_facts() {
  section clock; date -u +%s
  read -r boot </proc/sys/kernel/random/boot_id; section boot; echo "$boot"
  read -r _ memory _ </proc/meminfo; section memory; echo "$memory"
  place=$root; while [ ! -d "$place" ]; do place=${place%/*}; place=${place:-/}; done
  # Another user may remove a folder above the root meanwhile; the next one above then stands for the disk.
  section disk; until df -Pk "$place" || [ "$place" = / ]; do place=${place%/*}; place=${place:-/}; done
  # As `id -u` and `nproc` print, without a program for either.
  while read -r key value effective _; do
    case $key in Uid:) uid=$effective ;; Cpus_allowed_list:) processors=$value; break ;; esac
  done </proc/self/status
  section uid; echo "$uid"
  cpus=0; IFS=,; for range in $processors; do cpus=$((cpus + ${range#*-} - ${range%-*} + 1)); done; unset IFS
  section cpus; echo "$cpus"
}

# As many names as a megabyte holds. The rest is not reported.
names() { # what comes before each, paths...
  before=$1 left=1048576; shift
  for entry in "$@"; do
    [ -e "$entry" ] || continue
    case $before in .locks/) [ -f "$entry" ] && [ ! -e "$home/${entry##*/}" ] || continue ;; esac
    entry=$before${entry##*/} left=$((left - ${#entry} - 1))
    [ "$left" -ge 0 ] || return
    printf '%s\0' "$entry"
  done
}

# Each record has its limit, and those after the first ten share one, because an observation has one: a record beyond it
# is unknown by itself, and does not displace another.
records_seen=0 left_for_records=6291456
record() { # id, file
  records_seen=$((records_seen + 1))
  if [ "$records_seen" -gt 10 ]; then
    size=$(stat -c %s "$2") || size=0
    [ "$size" -lt 1048577 ] || size=1048577
    if [ "$size" -gt "$left_for_records" ]; then section record-too-large "$1"; return; fi
    left_for_records=$((left_for_records - size))
  fi
  section record "$1"; head -c 1048577 "$2"
}

# A record is read only from a regular file: a link could present any file of the host as ours.
records() {
  way_to_root; [ -z "$unsafe" ] || { section way; echo "$unsafe"; return; }
  section root
  if [ -d "$root" ] && [ ! -L "$root" ] && [ -O "$root" ]; then echo "$uid - directory" # without a program for it
  elif [ -L "$root" ] || [ -e "$root" ]; then stat -c '%u %a %F' "$root"; else echo absent; return; fi
  [ -d "$root" ] && [ ! -L "$root" ] || return
  section entries; names '' "$root"/* "$root"/.[!.]*
  home=$root/$fleet
  [ -L "$home" ] && { section linked; echo "$home"; return; }
  [ -d "$home" ] || return
  section fleet-entries; names '' "$home"/* "$home"/.[!.]*
  [ -f "$home/.head.json" ] && { section head; head -c 65536 "$home/.head.json"; }
  for file in "$home"/.tombstones/*.json; do
    [ -f "$file" ] || continue
    id=${file##*/}; section tombstone "${id%.json}"; head -c 65536 "$file"
  done
  # Leftover locks of clients that were killed before, or after, the sandbox existed.
  section locks; names .locks/ "$home"/.locks/*
  folders=
  for folder in "$home"/*; do
    id=${folder##*/}
    case $id in *[!0-9a-f]* | ????????*?) continue ;; ????????) ;; *) continue ;; esac
    [ -d "$folder" ] && [ ! -L "$folder" ] || { section misplaced "$id"; stat -c %F "$folder"; continue; }
    [ -d "$folder/workspace" ] && section workspace "$id"
    [ -f "$folder/drift.json" ] && [ ! -L "$folder/drift.json" ] && { section drift "$id"; head -c 65536 "$folder/drift.json"; }
    for part in tree bind; do
      [ -d "$folder/workspace/$part" ] && [ ! -L "$folder/workspace" ] && folders="$folders $id/workspace/$part"
    done
    if [ -f "$folder/record.json" ] && [ ! -L "$folder/record.json" ]; then
      record "$id" "$folder/record.json"
    else
      section record-missing "$id"
    fi
  done
  # What is delivered; what containers may write to is a separate copy, and not observed.
  # shellcheck disable=SC2086 # words
  command -v find >/dev/null 2>&1 && { section files; [ -z "$folders" ] || file_sums "$home" 1 $folders; }
}

host_facts
records
