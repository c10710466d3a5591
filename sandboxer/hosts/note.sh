# Notes what `drift` observed of sandboxes beside their records, until it is over, and reports it in their journals;
# behind session.sh. Then come six lines for each: id, uid, the SHA-256 of the note that this one follows (empty:
# of none), the note as one line of JSON, empty if there is to be none any more, and the parts of the journal's line
# before and behind its number. The record is not touched.
# Prints a line `<id> noted <number>` for each that is noted, `<id> not <why>` for each that could not be.
parameters root fleet lock_seconds
home=$root/$fleet
ours || exit 0
lives() { [ ! -L "$directory" ] && grep -q -F "\"uid\":\"$uid\"" "$directory/record.json"; }
# Another job that observed the same was faster, and has reported it.
is_first() { [ "$(sha256sum <"$directory/drift.json" | cut -d ' ' -f 1)" = "$former" ]; }
numbers() { sed -n "s/.*\"$1\":\([0-9]\{1,15\}\)[,}].*/\1/p" | tail -n 1; }
# The number after the journal's last one, and after the one that the record counts.
next_number() {
  last=$(tail -c 65536 "$directory/journal.jsonl" | numbers number); counted=$(numbers last_event <"$directory/record.json")
  [ "${last:-0}" -ge "${counted:-0}" ] || last=$counted
  number=$((${last:-0} + 1))
}
# The lock that is opened for one releases the lock of the one before.
write_note() {
  lives || return 0
  command exec 9>>"$lock" || { why="$lock cannot be opened"; return; }
  flock -n 9 || timeout "$lock_seconds" flock 9 || { why='another client works on it'; return; }
  [ ! -L "$directory/drift.json" ] || rm -f "$directory/drift.json"
  lock_in_place && lives && is_first || return 0
  next_number
  write_events "$directory" "$before$number$behind" || { why="$directory/journal.jsonl cannot be written"; return; }
  if [ -z "$note" ]; then rm -f "$directory/drift.json"; noted=$number; return; fi
  printf '%s\n' "$note" >"$directory/drift.json.new" && mv -f "$directory/drift.json.new" "$directory/drift.json" && noted=$number && return
  rm -f "$directory/drift.json.new"; why="$directory/drift.json cannot be written"
}
while read -r id && read -r uid && read -r former && read -r note && read -r before && read -r behind; do
  directory=$home/$id lock=$home/.locks/$id why='' noted=''
  write_note
  [ -z "$why" ] || printf '%s not %s\n' "$id" "$why"
  [ -z "$noted" ] || printf '%s noted %s\n' "$id" "$noted"
done 2>/dev/null
