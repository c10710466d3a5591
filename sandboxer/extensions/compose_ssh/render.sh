# How Compose reads a stack: the program, called without any variable of its machine, and confined to the files.

# The Compose on the host. Docker's plugin is a program by itself: called directly, it starts once, where
# `docker compose` starts twice and first queries it for what it is.
compose_of() { # engine
  [ "$1" = podman ] && { if command -v podman-compose >/dev/null; then echo podman-compose; else echo podman compose; fi; return; }
  for folder in "$HOME/.docker" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
    case $folder in *[[:space:]]*) continue ;; esac
    [ -x "$folder/cli-plugins/docker-compose" ] && { echo "$folder/cli-plugins/docker-compose"; return; }
  done
  command -v docker-compose >/dev/null && echo docker-compose
}


# Compose reads a stranger's file without any variable of the host: what is not set cannot be filled in for ${HOME}.
# Only ${PWD} can, which Compose sets itself: the directory of the compose file. So a tool is called by its path, and so
# is Docker's plugin, because `docker` finds those of a HOME by HOME. podman-compose would query Podman for its version,
# for which it needs a PATH, and `podman compose` looks for its helper in one.
bare() { # kind, command
  case $2 in
    "podman compose" | */"podman compose") echo "PATH=/usr/local/bin:/usr/bin:/bin $(command -v "${2%% *}") compose" ;;
    "docker compose") by_path "$(compose_of docker)" ;;
    *) found=$(by_path "$2") && case $1 in podman-compose) echo "$found --dry-run" ;; *) echo "$found" ;; esac ;;
  esac
}
by_path() { program=$(command -v "${1%% *}") && echo "$program${1#"${1%% *}"}"; }

# Compose reads the files in a directory that holds nothing else and exists only during that step, with the declared
# variables. Its output and its error messages are bounded too.
read_stack() { # where that directory is made, kind, command, project, folder in it, options...; a tar of what Compose reads
  work=$1 kind=$2 command=$3 project=$4 place=$1/.compose folder=$1/.compose/files/$5; shift 5
  rm -rf "$place" && mkdir "$place" && tar -x -o -p -f - -C "$place" || return 1
  bare=$(bare "$kind" "$command") || { echo "$command is not installed"; return 1; }
  case $kind in podman-compose) program=$(command -v "${command%% *}") ;; *) program=${bare%% *} ;; esac
  # shellcheck disable=SC2086 # a command of several words
  confined "$place" "$folder" "$program" env -i "PWD=$folder" $bare -p "$project" --env-file "$place/variables" "$@" >"$work/.rendered" 2>"$work/.problems"; code=$?
  case $code in 0) cat "$work/.rendered" ;; 124 | 137 | 152) echo "it exceeded 30 s, 20 s of CPU time or 2 GiB of memory" ;; *) head -c 65536 "$work/.problems" ;; esac
  rm -rf "$place" "$work/.rendered" "$work/.problems"; return "$code"
}
