# What `drift` told of sandboxes, noted beside their records until it is over; behind workbench.sh.
# Reads three more lines for each: id, uid, and the note as one line of JSON, empty where there is to be none any more.
# The record is not touched. Prints a line `<id> <why>` for each that could not be noted.
owner=$(stat -c %u "$home" 2>/dev/null)
[ -d "$home" ] && [ ! -L "$home" ] && [ ! -L "$root" ] && [ "$owner" = "$(id -u)" ] || exit 0
lives() { [ ! -L "$box" ] && grep -q -F "\"uid\":\"$uid\"" "$box/record.json"; }
# The lock that is opened for one gives up the lock of the one before.
write_note() {
  lives || return 0
  command exec 9>>"$lock" || { why="$lock cannot be opened"; return; }
  flock -n 9 || timeout "$lock_seconds" flock 9 || { why='another client works on it'; return; }
  lock_in_place && lives || return 0
  if [ -z "$note" ]; then rm -f "$box/drift.json"; return; fi
  printf '%s\n' "$note" >"$box/drift.json.new" && mv -f "$box/drift.json.new" "$box/drift.json" && return
  rm -f "$box/drift.json.new"; why="$box/drift.json cannot be written"
}
while read -r id && read -r uid && read -r note; do
  box=$home/$id lock=$home/.locks/$id why=
  write_note
  [ -z "$why" ] || printf '%s %s\n' "$id" "$why"
done 2>/dev/null
