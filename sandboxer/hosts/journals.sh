# Which events of a fleet's sandboxes on one host State Hub has acknowledged, and which not; behind session.sh.
# `wish` is `read`; `show`, and then comes a line `<id>`; or `acknowledge`, and then a line `<id> <uid> <number>` for each
# last acknowledged event.
# `read` prints sections, each behind a line `@<nonce> <name> ...`: `life <id> <uid> <number>` for each existing
# sandbox, with the cursor if it has one, and the events behind that; `kept <id>` for each removed one; and at last
# `end`.
# `show` prints the same of one sandbox, all its events.
# The events of a removed sandbox are kept for 30 days, for at most 1,000 of them.
parameters nonce root fleet wish
home=$root/$fleet
MOST_BYTES=262144 MOST_DAYS=30 MOST_KEPT=1000

# A life may end meanwhile: kept events are read last, so that they are read at least once.
read_all() {
  for directory in "$home"/????????; do
    [ -f "$directory/record.json" ] && [ ! -L "$directory" ] || continue
    uid='' number=''; read -r uid number 2>/dev/null <"$directory/journal.acked"
    section life "${directory##*/}" "$uid" "$number"; unacknowledged "$directory" | head -c "$MOST_BYTES"
  done
  [ ! -L "$home/.journals" ] || return 0
  for kept in "$home"/.journals/*.jsonl; do
    [ -f "$kept" ] && [ ! -L "$kept" ] || continue
    name=${kept##*/}; section kept "${name%.jsonl}"; head -c "$MOST_BYTES" "$kept"
  done
}

show() {
  kept=$home/.journals/$id.jsonl journal=$home/$id/journal.jsonl
  [ ! -L "$home/.journals" ] && [ -f "$kept" ] && [ ! -L "$kept" ] && { section kept "$id"; cat "$kept"; }
  [ ! -L "$home/$id" ] && [ -f "$journal" ] && [ ! -L "$journal" ] && { section life "$id"; cat "$journal"; }
}

# Also if nothing is ever reported, because the hub is gone.
drop_old() {
  [ -d "$home/.journals" ] && [ ! -L "$home/.journals" ] || return 0
  command -v find >/dev/null 2>&1 && find "$home/.journals" -name '*.jsonl' -mtime "+$MOST_DAYS" -exec rm -f {} +
  # shellcheck disable=SC2012 # the names are ours, and only ls has an order of age
  ls -t "$home/.journals" | tail -n "+$((MOST_KEPT + 1))" | while read -r name; do rm -f "$home/.journals/$name"; done
}

acknowledge() {
  if [ -d "$directory" ] && [ ! -L "$directory" ] && grep -q -F "\"uid\":\"$uid\"" "$directory/record.json"; then
    # Our cursor names its life, so it does not apply to one that begins in this instant.
    printf '%s %s\n' "$uid" "$number" >"$directory/journal.acked.$$" && mv -f "$directory/journal.acked.$$" "$directory/journal.acked"
    return
  fi
  kept=$home/.journals/$id.jsonl
  [ ! -L "$home/.journals" ] && [ ! -L "$kept" ] || return 0
  grep -q "\"number\":$number,.*\"uid\":\"$uid\"" "$kept" || return 0
  # A client that removes the next life adds to the file. The next lock that is opened releases this one.
  command exec 9>>"$lock" && timeout 5 flock 9 && lock_in_place || return 0
  behind "$kept" >"$kept.new" && if [ -s "$kept.new" ]; then mv -f "$kept.new" "$kept"; else rm -f "$kept" "$kept.new"; fi
  [ -e "$directory" ] || rm -f "$lock"
}

ours || { section end; exit 0; }
case $wish in
  read) drop_old; read_all; section end ;;
  show) read -r id; show; section end ;;
  acknowledge)
    while read -r id uid number; do
      case $id$uid$number in *[!0-9a-f]*) continue ;; esac
      directory=$home/$id lock=$home/.locks/$id
      mkdir -p "$home/.locks"; acknowledge
    done
    drop_old
    leave_no_empty_home ;;
esac 2>/dev/null
