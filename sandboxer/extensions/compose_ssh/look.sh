# The look: everything that a plan needs to know of one host, in one command that writes nothing.
# Reads lines from standard input: nonce, root, fleet, runtime (auto, docker or podman).
# Writes sections, each behind a line `@<nonce> <name>`; the last is `end`, without which the look is not complete.
# The nonce is fresh, so that nothing that lies on the host can pass for the start of a section.
LC_ALL=C; export LC_ALL
read -r nonce; read -r root; read -r fleet; read -r runtime
section() { printf '\n@%s %s\n' "$nonce" "$*"; }

host_facts() {
  section clock; date -u +%s
  read -r boot </proc/sys/kernel/random/boot_id; section boot; echo "$boot"
  section cpus; nproc
  read -r _ memory _ </proc/meminfo; section memory; echo "$memory"
  place=$root; while [ ! -d "$place" ]; do place=${place%/*}; place=${place:-/}; done
  section disk; df -Pk "$place"
  uid=$(id -u); section uid; echo "$uid"
}

# A record is read only from a regular file: a link could show any file of the host as ours.
records() {
  section root
  if [ -L "$root" ] || [ -e "$root" ]; then stat -c '%u %a %F' "$root"; else echo absent; return; fi
  [ -d "$root" ] && [ ! -L "$root" ] || return
  section entries; for entry in "$root"/* "$root"/.[!.]*; do [ -e "$entry" ] && printf '%s\0' "${entry##*/}"; done
  home=$root/$fleet
  [ -L "$home" ] && { section linked; echo "$home"; return; }
  [ -d "$home" ] || return
  section fleet-entries; for entry in "$home"/* "$home"/.[!.]*; do [ -e "$entry" ] && printf '%s\0' "${entry##*/}"; done
  [ -f "$home/.head.json" ] && { section head; head -c 65536 "$home/.head.json"; }
  for file in "$home"/.tombstones/*.json; do
    [ -f "$file" ] || continue
    id=${file##*/}; section tombstone "${id%.json}"; head -c 65536 "$file"
  done
  for folder in "$home"/*; do
    [ -d "$folder" ] && [ ! -L "$folder" ] || continue
    id=${folder##*/}
    case $id in *[!0-9a-f]* | ????????*?) continue ;; ????????) ;; *) continue ;; esac
    [ -d "$folder/workspace" ] && section workspace "$id"
    if [ -f "$folder/record.json" ] && [ ! -L "$folder/record.json" ]; then
      section record "$id"; head -c 1048577 "$folder/record.json"
    else
      section record-missing "$id"
    fi
  done
}

host_facts
records
storage=/var/lib/containers/storage
[ "$uid" = 0 ] || storage=${XDG_DATA_HOME:-$HOME/.local/share}/containers/storage
docker_here=; real_docker && docker_here=yes
podman_here=; command -v podman >/dev/null 2>&1 && podman_here=yes
section engines; echo "docker=$docker_here podman=$podman_here"
socket=${DOCKER_HOST:-/var/run/docker.sock}
if [ -n "$docker_here" ] && { [ "$runtime" != podman ] || [ -n "${DOCKER_HOST:-}" ] || [ -S "$socket" ]; }; then ask docker '' dev.sandboxer.fleet; fi
if [ -n "$podman_here" ] && { [ "$runtime" = podman ] || [ -z "$docker_here" ] || [ -d "$storage" ]; }; then ask podman '' dev.sandboxer.fleet; fi
section end
