# Whether a sandbox is on this host, for a client that is about to create it on another one. Reads root, fleet, id, and
# the name that no other sandbox of the fleet may have, empty if the id implies it.
read -r root; read -r fleet; read -r id; read -r name
if [ -e "$root/$fleet/$id" ] || [ -L "$root/$fleet/$id" ] || { [ -n "$name" ] && has_name "$root/$fleet" "$name"; }; then
  echo here
else
  echo away
fi
