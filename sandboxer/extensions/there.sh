# Whether a sandbox is on this host, for a client that is about to make it on another one. Reads root, fleet and id.
read -r root; read -r fleet; read -r id
if [ -e "$root/$fleet/$id" ] || [ -L "$root/$fleet/$id" ]; then echo here; else echo away; fi
