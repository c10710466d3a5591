# Remembers the newest fleet commit that was applied here, where this fleet has anything here at all.
# Reads lines: root, fleet, and the new head as one line of JSON. An older head never takes the place of a newer one.
LC_ALL=C; export LC_ALL; umask 077
read -r root; read -r fleet; read -r head
home=$root/$fleet
[ -d "$home" ] && [ ! -L "$home" ] && [ ! -L "$root" ] && [ "$(stat -c %u "$home")" = "$(id -u)" ] || exit 0
mkdir -p "$home/.locks" && exec 8>>"$home/.locks/.head" && timeout 10 flock 8 || exit 1
time_of() { sed -n 's/.*"committed_at":"\([^"]*\)".*/\1/p'; }
new=$(printf '%s\n' "$head" | time_of); old=$(time_of 2>/dev/null <"$home/.head.json")
[ "$(printf '%s\n%s\n' "$old" "$new" | sort | tail -n 1)" = "$new" ] || exit 0
printf '%s\n' "$head" >"$home/.head.json.new" && sync "$home/.head.json.new" && mv -f "$home/.head.json.new" "$home/.head.json"
