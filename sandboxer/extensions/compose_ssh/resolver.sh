# Closes the names of a network under `egress: deny` on Podman; behind session.sh.
# Podman's resolver (aardvark-dns) forwards unknown names to the host's servers, for an `internal` network too. A
# network may have its own server instead, and a query to this one is never sent: it is no machine's address, and the
# resolver may not broadcast. Podman 4.4 takes it as an option of the network. Before that only the resolver's own file
# takes it, whose first line is `<gateways> <servers>`; the empty line behind it keeps the file, and so the first line,
# when the network's last container stops.
NOWHERE=255.255.255.255

do_close_names() { # network, words of `podman network create`...
  network=$1; shift
  gateways=$(gateways_of "$network" 2>/dev/null) || {
    case $(podman network create --help 2>/dev/null) in *' --dns '*) set -- --dns "$NOWHERE" "$@" ;; esac
    podman network create "$@" "$network" >/dev/null 9>&- && gateways=$(gateways_of "$network") || return
  }
  case $gateways in *"$NOWHERE"*) return 0 ;; esac
  file=$(resolver_files)/$network first="$gateways $NOWHERE"
  [ "$(head -n 1 "$file" 2>/dev/null)" = "$first" ] && return 0
  mkdir -p "${file%/*}" && command exec 8>>"${file%/*/*}/aardvark.lock" && timeout 10 flock 8 || return
  { printf '%s\n\n' "$first"; tail -n +2 "$file" 2>/dev/null | grep .; } >"${file%/*/*}/.sandboxer.$$"
  mv -f "${file%/*/*}/.sandboxer.$$" "$file" || return
  exec 8>&-
  reload_resolver
}

# The gateways of a network, and its own servers if it has any, with commas between.
gateways_of() { # network
  description=$(podman network inspect "$1" 9>&-) || return
  # shellcheck disable=SC2046 # words
  set -- $(printf '%s\n' "$description" | sed -n -e 's/^ *"gateway": "\(.*\)",\{0,1\}$/\1/p' -e "s/^ *\"\($NOWHERE\)\",\{0,1\}\$/\1/p")
  (IFS=,; echo "$*")
}
resolver_files() {
  if [ "$(id -u)" = 0 ]; then echo /run/containers/networks/aardvark-dns
  else echo "$(podman info --format '{{.Store.RunRoot}}' 9>&-)/networks/aardvark-dns"; fi
}
reload_resolver() { [ ! -s "${file%/*}/aardvark.pid" ] || kill -HUP "$(cat "${file%/*}/aardvark.pid")" 2>/dev/null; return 0; }

# A file whose network is gone would conflict with the next network that has the same addresses.
forget_names() {
  file=
  for left in "$(resolver_files)"/sbx-*-"$id"_*; do
    [ -f "$left" ] || continue
    podman network exists "${left##*/}" 9>&- || { rm -f "$left"; file=$left; }
  done
  [ -z "$file" ] || reload_resolver
}
