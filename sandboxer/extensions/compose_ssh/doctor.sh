# The doctor's checks of the engine and of Compose: behind doctor.sh, engine.sh, confine.sh and verbs.sh.
engine_facts() {
  runtime=$(requested_engine "$runtime" "$requested_tool") compose=$requested_tool chosen=
  section requested-engine; echo "$runtime"
  if real_docker; then
    section client docker "$client"; chosen=docker
    within 10 docker --version
  elif [ -n "${client:-}" ]; then section shim "$client"; fi
  if has podman; then section client podman "$(command -v podman)"; chosen=${chosen:-podman}; within 10 podman --version; fi
  case $runtime in docker | podman) chosen=$runtime ;; esac # another extension's engine is no command of ours
  [ -n "$chosen" ] && has "$chosen" || return 0
  section disk-usage; echo "$chosen system df"
  section info "$chosen"; { output=$(within 20 "$chosen" info --format '{{json .}}' 2>&1 >&3); code=$?; } 3>&1
  section info-code "$code"; printf '%s\n' "$output"
  socket=${DOCKER_HOST:-unix:///var/run/docker.sock}; socket=${socket#unix://}
  [ -S "$socket" ] && { section socket "$socket"; stat -c '%G' "$socket"; }
  # What a build keeps for the next one has no labels. Podman's is in images, which go with those that were built.
  [ "$chosen/$code" != docker/0 ] || { section build-cache; within 20 docker system df --format '{{.Type}}|{{.Size}}' | sed -n 's/^Build Cache|//p'; }
  # A Compose queries its engine even for its own version: an engine that hangs would make it hang too.
  [ "$code" = 124 ] || compose_facts
}
compose_facts() {
  compose=${compose:-$(compose_of "$chosen")} || return 0
  section compose "$compose"
  for words in 'version --short' version; do
    # shellcheck disable=SC2086 # commands of several words
    output=$(within 20 $compose $words 2>&1) && break
  done; code=$?
  section compose-code "$code"; printf '%s\n' "$output"
}

# Whether Compose can be confined to the files that it is to read, and what may prevent that.
reading_facts() {
  section reading
  # shellcheck disable=SC2086 # a command of several words
  echo "way=$(way_to_confine ${compose:-true} version)"
  has unshare && echo unshare=yes
  for key in kernel/unprivileged_userns_clone kernel/apparmor_restrict_unprivileged_userns user/max_user_namespaces; do
    [ -r "/proc/sys/$key" ] && read -r value <"/proc/sys/$key" && echo "${key##*/}=$value"
  done
}

# What a rootless Podman needs to outlive the login.
rootless_facts() {
  section rootless
  echo "runtime_dir=${XDG_RUNTIME_DIR:-}"
  [ -n "${XDG_RUNTIME_DIR:-}" ] && [ -d "$XDG_RUNTIME_DIR" ] && echo runtime_dir_there=yes
  [ -e "/var/lib/systemd/linger/$(id -un)" ] && echo linger=yes
  for file in /etc/subuid /etc/subgid; do
    grep -q -e "^$(id -un):" -e "^$(id -u):" "$file" 2>/dev/null && echo "${file#/etc/}=yes"
  done
}

# Only root can read the rules. Those of our own carry our name: see docs/hosts.md.
firewall_facts() {
  [ "$(id -u)" = 0 ] || return 0
  PATH=$PATH:/usr/sbin:/sbin
  section nft; has nft && echo here
  section firewall
  { has iptables && within 5 iptables -S | grep sandboxer; has nft && within 5 nft list table inet sandboxer; } 2>/dev/null
}

engine_facts
reading_facts
rootless_facts
firewall_facts
