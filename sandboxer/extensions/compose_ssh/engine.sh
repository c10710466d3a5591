# Shared by observe.sh and sessions.
# Podman's stand-in for the docker command is a script that names podman.
real_docker() {
  client=$(command -v docker) || return 1
  case $(head -c 2 "$client") in '#!') ! grep -q podman "$client" ;; *) true ;; esac
}

# The requested engine: the Host's, or Podman if the Host leaves the choice and requests a Compose of Podman's.
requested_engine() { # runtime, command of Compose or nothing
  program=${2%% *}
  case $1-${program##*/} in auto-podman*) echo podman ;; *) printf '%s\n' "$1" ;; esac
}

# What a container says about itself may be a stranger's text, of any length: so each engine is queried for named fields
# only, and each is cut. Of containers outside the fleet, only the name, the project and the ownership are queried.
whose='dev.sandboxer.fleet dev.sandboxer.id dev.sandboxer.uid dev.sandboxer.name dev.sandboxer.root dev.sandboxer.origin dev.sandboxer.until'
labels() { # what gives a label in a template, keys...; sets fields
  from=$1 fields=; shift
  for key in "$@"; do fields="$fields${fields:+,}\"$key\":{{json (printf \"%.512s\" ($from \"$key\"))}}"; done
}
listing() { # engine; sets format
  [ "$1" = docker ] && from=.Label || from='index .Labels'
  # shellcheck disable=SC2086 # words
  labels "$from" $whose dev.sandboxer.cleaner com.docker.compose.project
  format='{"id":{{json .ID}},"name":{{json (printf "%.512s" .Names)}},"labels":{'$fields'}}'
}
details() { # engine; sets format
  labels 'index .Config.Labels' dev.sandboxer.config com.docker.compose.service com.docker.compose.container-number com.docker.compose.oneoff com.docker.compose.config-hash com.docker.compose.image
  # Podman before 4.4 has only this name for it, and later versions have it as well.
  image=.ImageName health='{{json .State.Healthcheck.Status}}'
  [ "$1" = podman ] || image=.Config.Image health='{{if .State.Health}}{{json .State.Health.Status}}{{else}}""{{end}}'
  # shellcheck disable=SC2016 # variables of the template
  format='{"id":{{json .ID}},"image":{{json (printf "%.512s" '$image')}},"image_id":{{json .Image}},"status":{{json .State.Status}},"exit_code":{{json .State.ExitCode}},"restarts":{{json .RestartCount}},"health":'$health',"labels":{'$fields'},"networks":[{{range $name, $network := .NetworkSettings.Networks}}[{{json $name}},{{json $network.IPAddress}}],{{end}}null],"ports":[{{range $port, $bindings := .NetworkSettings.Ports}}{{range $bindings}}[{{json $port}},{{json .HostIP}},{{json .HostPort}}],{{end}}{{end}}null],"volumes":[{{range .Mounts}}{{if eq .Type "volume"}}{{json .Name}},{{end}}{{end}}null]}'
}
resource() { # engine and kind; sets format
  [ "${1%-*}" = docker ] && from=.Label || from='index .Labels'
  # shellcheck disable=SC2086
  labels "$from" $whose
  identity='"Name":{{json (printf "%.512s" .Name)}}'
  case $1 in *-network) identity='"Id":{{json .ID}},'$identity ;; esac
  format="{$identity,\"Labels\":{$fields}}"
}

# The output of a command goes into a variable of this shell, its lines cut at 16 KiB; with its exit code, or 76 if it
# printed too much. A command that does not end is killed.
ASK_SECONDS=15 LONGEST_LINE=16384 EX_MUCH=76
bounded() { # bytes at most, command...; sets output
  most=$1; shift
  output=$({ timeout -s KILL "$ASK_SECONDS" "$@"; printf '\n%s:%s' "$nonce" "$?"; } | cut -b "-$LONGEST_LINE" | head -c "$most")
  ended
}
ended() {
  case $output in
    *"$nonce:0") output=${output%"$nonce:0"} ;;
    *"$nonce:"[0-9]*) code=${output##*:} output=${output%"$nonce:$code"}; return "$code" ;;
    *) return "$EX_MUCH" ;;
  esac
}
# As bounded, for so many things at a time that it never is too much; sets described. Output before a failure counts.
# Podman takes its time for each. On a starved host, what one call did not print in time is not described, and the
# others are queried all the same; a second such call ends it.
each() { # command with its options as words, where each is a line; things...
  command=$1 described='' slow=0; shift
  case $command in podman*) batch=20 ;; *) batch=50 ;; esac
  while [ "$#" -gt 0 ]; do
    some=$command count=$batch
    while [ "$#" -gt 0 ] && [ "$count" -gt 0 ]; do some="$some
$1" count=$((count - 1)); shift; done
    in_lines "$some"; code=$?
    described="$described
$output"
    [ "$code" != 0 ] || continue
    was_killed "$code" && [ "$slow" = 0 ] || return "$code"
    slow=$code
  done
  return "$slow"
}
in_lines() { # a command, its words a line each
  set -f; IFS='
'
  # shellcheck disable=SC2086
  set -- $1
  unset IFS; set +f
  bounded 1048576 "$@"
}
was_killed() { case $1 in 124 | 137 | 143) ;; *) return 1 ;; esac; }

# What an engine has: all its containers, and the networks and volumes that carry our labels; or, with a filter, what
# that names. Its output counts only with its exit code. It is queried again if something ended between two calls; a
# container that is listed and still not described is unknown by itself.
ask() { # engine, label of containers (empty: all), label of networks and volumes (empty: none)
  engine=$1
  section engine "$engine"
  if [ "$engine" = docker ] && docker_api; then ask_api "$2" "$3" && return; fi
  for try in 1 2 3; do
    listing "$engine"
    bounded 8388608 "$engine" ps -a --no-trunc --format "$format" ${2:+--filter "label=$2"} || { section engine-failed "$engine" ps "$?"; return; }
    listed=$output described=
    # shellcheck disable=SC2046 # ids are words
    set -- "$1" "$2" "$3" $(our_ids)
    [ "$#" -gt 3 ] || break
    details "$engine"; want=$1 filter=$2 labelled=$3; shift 3
    each "$engine
inspect
--type
container
--format
$format" "$@"; code=$?
    set -- "$want" "$filter" "$labelled"
    if [ "$code" = 0 ] || was_killed "$code"; then break; fi
  done
  case $described in '' | *'{'*) ;; *) section engine-failed "$engine" inspect "$code"; return ;; esac
  section containers "$engine"; printf '%s\n' "$listed"
  section described "$engine"; printf '%s\n' "$described"
  for kind in ${3:+network volume}; do
    for try in 1 2 3 4 5; do
      resources "$engine" "$kind" "$3"; code=$?
      [ "$code" = 0 ] && break
      case $engine-$try in docker-* | *-5) section engine-failed "$engine" "$kind" "$code"; return ;; esac
      was_killed "$code" && { section engine-failed "$engine" "$kind" "$code"; return; }
    done
    section "${kind}s" "$engine"; printf '%s\n' "$described"
  done
  section engine-answered "$engine"
}

# The ids of the fleet's own containers; no other value can look so, because in those a quote has a backslash before it.
our_ids() {
  printf '%s\n' "$listed" | sed -n 's/^{"id":"\([0-9a-f]*\)".*"dev\.sandboxer\.fleet":"'"$fleet"'".*/\1/p'
}

resources() { # engine, network or volume, filter; sets described
  resource "$1-$2"
  case $1-$2 in
    docker-network) bounded 4194304 docker network ls --no-trunc --filter "label=$3" --format "$format" ;;
    docker-volume) bounded 4194304 docker volume ls --filter "label=$3" --format "$format" ;;
    *)
      bounded 1048576 podman "$2" ls -q --filter "label=$3" || return
      # shellcheck disable=SC2086 # names are words
      set -- "$2" $output
      kind=$1; shift
      each "podman
$kind
inspect
--format
$format" "$@"
      return ;;
  esac
  code=$? described=$output
  return "$code"
}

# With curl, Docker's own API returns everything in one program's start, where its client takes four or more. Only the
# client supports other ways to a daemon: a context, a remote daemon.
docker_api() {
  case ${DOCKER_HOST:-unix:///var/run/docker.sock} in unix://*) socket=${DOCKER_HOST:-unix:///var/run/docker.sock}; socket=${socket#unix://} ;; *) return 1 ;; esac
  [ -S "$socket" ] && [ -w "$socket" ] && command -v curl >/dev/null && { [ ! -f "$HOME/.docker/config.json" ] || ! grep -q '"currentContext"' "$HOME/.docker/config.json"; }
}
# The API returns all that a container says about itself. If that is more than a host of honest containers says, the
# client is queried instead, for named fields.
MOST_API=2097152
ask_api() { # label of containers (empty: all), label of networks and volumes (empty: none); fails where it is too much
  set -- "/containers/json?all=1${1:+&$(label_filter "$1")}" ${2:+"/networks?$(label_filter "$2")" "/volumes?$(label_filter "$2")"}
  for path in "$@"; do shift; set -- "$@" "http://docker$path"; done
  output=$({ curl -q -s -S -f --fail-early --noproxy '*' --max-time 20 --unix-socket "$socket" -w "\n@$nonce next docker\n" "$@"; printf '\n%s:%s' "$nonce" "$?"; } | head -c "$MOST_API")
  ended; code=$?
  [ "$code" != "$EX_MUCH" ] || return 1
  section api-containers docker; printf '%s\n' "$output"
  if [ "$code" = 0 ]; then section engine-answered docker; else section engine-failed docker; fi
  [ -z "$restarts" ] || api_restarts
}
# How often each container of the fleet was restarted: no list has it, so the client is queried for those few. Without
# an answer it is not known, and nothing else depends on it.
restarts=
api_restarts() {
  bounded 1048576 docker ps -a -q --no-trunc --filter "label=dev.sandboxer.fleet=$fleet"
  # shellcheck disable=SC2086 # ids are words
  each 'docker
inspect
--type
container
--format
{{.ID}} {{.RestartCount}}' $output
  section restarts docker; printf '%s\n' "$described"
}
label_filter() { # key, or key=value
  case $1 in *=*) pair=${1%%=*}%3D${1#*=} ;; *) pair=$1 ;; esac
  printf 'filters=%%7B%%22label%%22%%3A%%5B%%22%s%%22%%5D%%7D' "$pair"
}
