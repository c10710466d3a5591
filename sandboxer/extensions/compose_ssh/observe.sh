# The engines' part of an observation of a host: behind observe.sh, in the same command; it too writes nothing.
# `runtime` is auto, docker or podman; `tool` is the requested Compose, empty if it is to be found.
# `restarts` is empty if the restarts of containers need not be counted.
parameters runtime tool restarts
runtime=$(requested_engine "$runtime" "$tool")
storage=/var/lib/containers/storage
[ "$uid" = 0 ] || storage=${XDG_DATA_HOME:-$HOME/.local/share}/containers/storage
docker_here=; real_docker && docker_here=yes
podman_here=; command -v podman >/dev/null 2>&1 && podman_here=yes
section engines; echo "requested=$runtime docker=$docker_here podman=$podman_here"
socket=${DOCKER_HOST:-/var/run/docker.sock}
if [ -n "$docker_here" ] && { [ "$runtime" != podman ] || [ -n "${DOCKER_HOST:-}" ] || [ -S "$socket" ]; }; then ask docker '' dev.sandboxer.fleet; fi
if [ -n "$podman_here" ] && { [ "$runtime" = podman ] || [ -z "$docker_here" ] || [ -d "$storage" ]; }; then ask podman '' dev.sandboxer.fleet; fi
