# Shared by the look and the workbench; both define `section`.
# Podman's stand-in for the docker command is a script that names podman.
real_docker() {
  client=$(command -v docker) || return 1
  case $(head -c 2 "$client") in '#!') ! grep -q podman "$client" ;; *) true ;; esac
}

container_format='{"id":{{json .Id}},"name":{{json .Name}},"image":{{json .Config.Image}},"image_id":{{json .Image}},"state":{{json .State}},"labels":{{json .Config.Labels}},"networks":{{json .NetworkSettings.Networks}},"ports":{{json .NetworkSettings.Ports}},"mounts":{{json .Mounts}}}'
# What an engine has: all its containers, and the networks and volumes that carry our labels; or, with a filter, what
# that names. Its words count only with its exit code. A container that ends between two calls is asked for again.
ask() { # engine, filter of containers (may be empty), filter of networks and volumes
  engine=$1
  section engine "$engine"
  for try in 1 2 3; do
    ids=$(timeout 20 "$engine" ps -a -q --no-trunc ${2:+--filter "$2"}) || { section engine-failed "$engine" list; return; }
    section containers "$engine"
    [ -z "$ids" ] && break
    # shellcheck disable=SC2086 # ids are words
    if [ "$engine" = docker ]; then timeout 20 docker inspect --type container --format "$container_format" $ids
    else timeout 20 podman inspect --type container $ids; fi && break
    [ "$try" = 3 ] && { section engine-failed "$engine" inspect; return; }
  done
  for kind in network volume; do
    # shellcheck disable=SC2086 # two words on purpose
    names=$(timeout 20 "$engine" $kind ls -q --filter "$3") || { section engine-failed "$engine" "$kind"; return; }
    [ -z "$names" ] && continue
    section "${kind}s" "$engine"
    # shellcheck disable=SC2086
    timeout 20 "$engine" $kind inspect $names || { section engine-failed "$engine" "$kind"; return; }
  done
  section engine-answered "$engine"
}
