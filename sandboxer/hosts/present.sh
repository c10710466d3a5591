# Whether a sandbox is on this host, for a client that is about to create it on another one. No other sandbox of the fleet
# may have the name; it is empty if the id implies it.
parameters root fleet id name
if [ -e "$root/$fleet/$id" ] || [ -L "$root/$fleet/$id" ] || { [ -n "$name" ] && has_name "$root/$fleet" "$name"; }; then
  echo here
else
  echo away
fi
