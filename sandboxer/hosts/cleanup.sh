# The end of an apply on one host, behind session.sh: removes leftovers of killed runs (directories that were being
# created or removed, and locks) and what a backend's `sweepers` find, forgets tombstones that no manifest keeps any
# more, notes the newest fleet commit if the fleet has anything here, and leaves no empty directory.
# `head` is the new head as one line of JSON (empty: none to note), `forgotten` are the ids of the tombstones to forget.
# An older head does not replace a newer one.
parameters root fleet engine head forgotten
home=$root/$fleet
ours || exit 0
patience=10 # seconds in all
# The lock holder is working on what it locked, or its client is gone and it ends within seconds: so wait for it, while
# the path that needs the lock is there. The next lock that is opened here releases this one.
take_free_lock() { # path of the leftover; the lock's path is $lock
  while command exec 9>>"$lock"; do
    until flock -n 9; do
      [ "$patience" -gt 0 ] && still_left "$1" || return
      timeout 1 flock 9 && break
      patience=$((patience - 1))
    done
    # The holder may have removed the lock's file as it ended: then another file is the lock.
    lock_in_place && return
    still_left "$1" || return
  done
  return 1
}
# A lock is a leftover only as long as its sandbox is not there.
still_left() { [ -e "$1" ] && { [ "$1" != "$lock" ] || [ ! -e "$directory" ]; }; }
for leftover in "$home"/.staging-* "$home"/.trash-*; do
  [ -d "$leftover" ] && [ ! -L "$leftover" ] || continue
  id=$(id_within "$leftover" | head -n 1); directory=$home/$id; lock=$home/.locks/$id
  [ -n "$id" ] || { rmdir "$leftover"; continue; }
  mkdir -p "$home/.locks"
  take_free_lock "$leftover" && do_sweep "$engine"
done
for lock in "$home"/.locks/*; do
  directory=$home/${lock##*/}
  [ -f "$lock" ] && still_left "$lock" && take_free_lock "$lock" && still_left "$lock" && rm -f "$lock"
done
command exec 9>&- # a lock that was free is not held while engines work
[ -z "$engine" ] || for sweeper in $sweepers; do "$sweeper"; done
for id in $forgotten; do do_forget_tombstone; done
[ -d "$home/.locks" ] && exec 8>>"$home/.locks/.head" && timeout 10 flock 8 || exit 1
time_of() { sed -n 's/.*"committed_at":"\([^"]*\)".*/\1/p'; }
new=$(printf '%s\n' "$head" | time_of); old=$(time_of <"$home/.head.json")
if [ -n "$head" ] && [ "$(printf '%s\n%s\n' "$old" "$new" | sort | tail -n 1)" = "$new" ]; then
  printf '%s\n' "$head" >"$home/.head.json.new" && sync "$home/.head.json.new" && mv -f "$home/.head.json.new" "$home/.head.json"
fi
leave_no_empty_home
