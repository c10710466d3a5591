# Whether a sandbox is on this host, for a client that is about to make it on another one. Reads root, fleet, id, and the
# name that no other one of the fleet may have, which is empty where the id says it.
read -r root; read -r fleet; read -r id; read -r name
if [ -e "$root/$fleet/$id" ] || [ -L "$root/$fleet/$id" ] || { [ -n "$name" ] && has_name "$root/$fleet" "$name"; }; then
  echo here
else
  echo away
fi
