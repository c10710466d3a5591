# Shared by the look and the workbench; both define `section`.
# Podman's stand-in for the docker command is a script that names podman.
real_docker() {
  client=$(command -v docker) || return 1
  case $(head -c 2 "$client") in '#!') ! grep -q podman "$client" ;; *) true ;; esac
}

container_format='{"id":{{json .Id}},"name":{{json .Name}},"image":{{json .Config.Image}},"image_id":{{json .Image}},"state":{{json .State}},"labels":{{json .Config.Labels}},"networks":{{json .NetworkSettings.Networks}},"ports":{{json .NetworkSettings.Ports}},"mounts":{{json .Mounts}}}'
# Docker's lists can show single labels, which spares an inspect of each kind; Podman's cannot.
labels_format='{"dev.sandboxer.fleet":{{json (.Label "dev.sandboxer.fleet")}},"dev.sandboxer.id":{{json (.Label "dev.sandboxer.id")}},"dev.sandboxer.name":{{json (.Label "dev.sandboxer.name")}},"dev.sandboxer.uid":{{json (.Label "dev.sandboxer.uid")}},"dev.sandboxer.root":{{json (.Label "dev.sandboxer.root")}},"dev.sandboxer.origin":{{json (.Label "dev.sandboxer.origin")}},"dev.sandboxer.until":{{json (.Label "dev.sandboxer.until")}}}'
network_format='{"Id":{{json .ID}},"Name":{{json .Name}},"Labels":'$labels_format'}'
volume_format='{"Name":{{json .Name}},"Labels":'$labels_format'}'

# What a command says goes into a variable of this shell: only where it ends well, and prints no more than 1 MiB.
within_limits() { # command...; sets said
  said=$({ "$@"; printf ' %s' "$?"; } | head -c 1048576)
  [ "${said##* }" = 0 ] && said=${said% *}
}

# What an engine has: all its containers, and the networks and volumes that carry our labels; or, with a filter, what
# that names. Its words count only with its exit code. What ends between two calls makes it ask again.
ask() { # engine, label of containers (empty: all), label of networks and volumes (empty: none)
  engine=$1
  section engine "$engine"
  if [ "$engine" = docker ] && docker_api; then ask_api "$2" "$3"; return; fi
  for try in 1 2 3; do
    within_limits timeout 20 "$engine" ps -a -q --no-trunc ${2:+--filter "label=$2"} || { section engine-failed "$engine" list; return; }
    ids=$said
    section containers "$engine"
    [ -z "$ids" ] && break
    # shellcheck disable=SC2086 # ids are words
    if [ "$engine" = docker ]; then timeout 20 docker inspect --type container --format "$container_format" $ids
    else timeout 20 podman inspect --type container $ids; fi && break
    [ "$try" = 3 ] && { section engine-failed "$engine" inspect; return; }
  done
  for kind in ${3:+network volume}; do
    for try in 1 2 3 4 5; do
      section "${kind}s" "$engine"
      resources "$engine" "$kind" "$3"; code=$?
      [ "$code" = 0 ] && break
      case $engine-$try-$code in docker-* | *-5-* | *-124) section engine-failed "$engine" "$kind"; return ;; esac
    done
  done
  section engine-answered "$engine"
}

resources() { # engine, network or volume, filter
  case $1-$2 in
    docker-network) timeout 20 docker network ls --no-trunc --filter "label=$3" --format "$network_format" ;;
    docker-volume) timeout 20 docker volume ls --filter "label=$3" --format "$volume_format" ;;
    *)
      within_limits timeout 20 podman "$2" ls -q --filter "label=$3" || return 1
      names=$said
      # shellcheck disable=SC2086 # names are words
      [ -z "$names" ] || timeout 20 podman "$2" inspect $names ;;
  esac
}

# Where curl is, Docker's own API tells everything in one program's start, where its client takes four or more. The
# client alone knows other ways to a daemon: a context, a daemon that is far away.
docker_api() {
  case ${DOCKER_HOST:-unix:///var/run/docker.sock} in unix://*) socket=${DOCKER_HOST:-unix:///var/run/docker.sock}; socket=${socket#unix://} ;; *) return 1 ;; esac
  [ -S "$socket" ] && [ -w "$socket" ] && command -v curl >/dev/null && { [ ! -f "$HOME/.docker/config.json" ] || ! grep -q '"currentContext"' "$HOME/.docker/config.json"; }
}
ask_api() { # label of containers (empty: all), label of networks and volumes (empty: none)
  section api-containers docker
  set -- "/containers/json?all=1${1:+&$(label_filter "$1")}" ${2:+"/networks?$(label_filter "$2")" "/volumes?$(label_filter "$2")"}
  for path in "$@"; do shift; set -- "$@" "http://docker$path"; done
  if curl -q -s -S -f --fail-early --noproxy '*' --max-time 20 --unix-socket "$socket" -w "\n@$nonce next docker\n" "$@"
  then section engine-answered docker; else section engine-failed docker; fi
}
label_filter() { # key, or key=value
  case $1 in *=*) pair=${1%%=*}%3D${1#*=} ;; *) pair=$1 ;; esac
  printf 'filters=%%7B%%22label%%22%%3A%%5B%%22%s%%22%%5D%%7D' "$pair"
}
