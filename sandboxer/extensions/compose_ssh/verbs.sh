# The verbs of a session about a compose project; see session.sh for its requests.

# What exists of this sandbox, now that nobody else may change it; networks and volumes too if `all` is requested.
do_state() { # engine, containers or all
  end_builds; do_sweep "$1" >/dev/null
  section record; do_record
  section journal; do_journal_end
  section trees; ls "$directory/workspace/tree"
  section compose; compose_of "$1"
  mine=dev.sandboxer.id=$id; [ "$2" = all ] && all=$mine || all=
  ask "$1" "$mine" "$all"
  section end
} 2>/dev/null

# Each mounted file or directory has a path made of its own content, so that only a change of it changes its path.
# Prints `made` if it was missing, because a container that mounts an older one holds that inode. A mark beside it says
# so also to a client that resumes after a kill; `tidy`, at the end, removes the mark.
# Only what is read-only for all shares its inode with the tree.
do_bind() { # place below workspace/, tree, path in the tree, ro, rw or as; of the latter: engine, mode, user, group
  no_link "workspace/tree/$2/$3" && no_link "workspace/${1%/*}" || return 1
  place=$directory/workspace/$1 source=$directory/workspace/tree/$2/$3 mark=$directory/workspace/${1%/*}.made
  [ ! -L "$place" ] || rm -f "$place" || return 1
  [ -e "$place" ] && { [ ! -e "$mark" ] || echo made; return 0; }
  mkdir -p "${place%/*}" && rm -rf "$place.new" || return 1
  if [ "$4" != ro ] || ! cp -al "$source" "$place.new" 2>/dev/null; then
    rm -rf "$place.new"; cp -a "$source" "$place.new" || return 1
  fi
  [ "$4" != as ] || give "$place.new" "$5" "$6" "$7" "$8" || return 1
  : >"$mark" && mv "$place.new" "$place" && echo made
}

# A secret's file as containers get it. The directory around it keeps everybody else out, whatever its mode: only the
# file is mounted, and no container gets to that directory.
do_secret_file() { # secret, its copy (or the same), engine, mode, user, group; paths below the sandbox's folder
  no_link "$1" && no_link "$2" || return 1
  [ "$1" != "$2" ] || { chmod "$4" "$directory/$1"; return; }
  [ ! -e "$directory/$2" ] || return 0
  rm -f "$directory/$2.new" && cp "$directory/$1" "$directory/$2.new" && give "$directory/$2.new" "$3" "$4" "$5" "$6" && mv -f "$directory/$2.new" "$directory/$2"
}

# Mode and owner of a file in a container. Only root can give a file away; any other login stays its owner.
give() { # file, engine, mode, user or -, group or -
  if [ "$(id -u)" = 0 ]; then
    first_user "$2" || return 1
    [ "$4" != - ] || set -- "$1" "$2" "$3" 0 "$5"
    [ "$5" != - ] || set -- "$1" "$2" "$3" "$4" 0
    chown "$(($4 + first_uid)):$(($5 + first_gid))" "$1" || return 1
  elif [ "$4$5" != -- ]; then
    echo "giving a file to user $4, group $5 of a container needs a root login, not $(id -un); leave uid and gid out of the compose file (mode alone counts), or log in as root"
    return 1
  fi
  chmod "$3" "$1"
}

# The host's user that a container's root is. Docker's userns-remap shows it in the name of its directory.
first_user() { # engine; sets first_uid, first_gid
  first_uid=0 first_gid=0
  [ "$1" = docker ] || return 0
  info=$(timeout 20 docker info --format '{{range .SecurityOptions}}{{.}} {{end}}{{.DockerRootDir}}' 9>&-) || { echo "cannot determine whether docker maps users"; return 1; }
  case $info in *name=userns*) info=${info##*/}; first_uid=${info%%.*} first_gid=${info##*.} ;; esac
  case $first_uid$first_gid in *[!0-9]*) echo "docker maps users, but the mapping is not known"; return 1 ;; esac
}

# No part of the path is a link: nobody but the login can have put one there.
no_link() { # path below the sandbox's folder
  at=$directory rest=$1/
  while [ ! -L "$at" ]; do
    [ -n "$rest" ] || return 0
    at=$at/${rest%%/*} rest=${rest#*/}
  done
  echo "$at is a link, which Sandboxer never creates; remove it"; return 1
}

# What an engine is about to be given exists, below directories of the login's that nobody else may write to: so the
# engine opens what was checked. A container's own copy is the last part of the path, never one in between.
unswapped() { # how many, paths below the sandbox's folder; whatever follows
  left=$1 ways=; shift
  for path in "$@"; do
    [ "$left" -gt 0 ] || break
    left=$((left - 1))
    case $path in workspace/bind*/*/*/* | *[!A-Za-z0-9/._-]*/* | /* | *..*/*) echo "$path is not the path of a mount"; return 1 ;; esac
    no_link "$path" || return 1
    [ -e "$directory/$path" ] || { echo "$directory/$path is gone; apply again"; return 1; }
    way=${path%/*}
    while case " $ways " in *" $way "*) false ;; esac; do ways="$ways $way" way=${way%/*}; done
  done
  # shellcheck disable=SC2086 # folders whose names are ours
  strange=$(cd "$directory" && { stat -c '%u %a %F %n' . $ways 2>&1 || echo "a folder is gone"; } | grep -v -x "$(id -u) [0-7]*[0145][0145] directory .*")
  [ -z "$strange" ] || { echo "a folder in $directory is not owned by the login user alone: $strange"; return 1; }
}

# Damaged files are restored whole, by `deliver` or `bind`.
do_discard() { for place in "$@"; do rm -rf "$directory/workspace/$place" || return 1; done; } # places below workspace/

do_render() { read_stack "$directory" "$@"; } # kind, command, project, folder in it, options...; a tar of what Compose reads

# Docker ends a build whose client is gone. Podman's steps continue after their client is killed, and nobody else builds
# for the sandbox while its lock is held.
end_builds() { # sets build_group
  build_group=sandboxer-build-$fleet-$id
  for group in /sys/fs/cgroup/"$build_group" /sys/fs/cgroup/*/"$build_group"; do
    [ -f "$group/cgroup.procs" ] || continue
    while read -r process; do kill -KILL "$process"; done <"$group/cgroup.procs"
    rmdir "$group"
  done 2>/dev/null
}

# The ID of each of the images on the host and which sandbox it belongs to, one a line. Any error of an engine except
# that it has no image of that name is not a reply.
image_format='{"id":{{json .ID}},"sandbox":{{with .Config}}{{with .Labels}}{{json (index . "dev.sandboxer.id")}}{{else}}""{{end}}{{else}}""{{end}}}'
do_images() { # engine, names...
  engine=$1; shift
  if [ "$engine" = podman ]; then
    for name in "$@"; do
      timeout 20 podman image exists "$name"; code=$?
      case $code in 0) timeout 20 podman image inspect --format "$image_format" "$name" || return 1 ;; 1) ;; *) return 1 ;; esac
    done
    return 0
  fi
  timeout 20 docker image inspect --format "$image_format" "$@" >"$directory/.images" 2>"$directory/.problems"
  grep '^{' "$directory/.images" | head -c 1048576
  missing=$(grep -c -i 'no such image\|no such object' "$directory/.problems")
  [ "$(($(grep -c '^{' "$directory/.images") + missing))" = "$#" ]; code=$?
  [ "$code" = 0 ] || head -c 4096 "$directory/.problems"
  rm -f "$directory/.images" "$directory/.problems"; return "$code"
}

# What an image has a build do that starts from it. Podman shows that only in the image's whole configuration, whose
# digest is the image's id.
do_triggers() { # engine, name
  [ "$1" = podman ] || { timeout 20 docker image inspect --format '{"triggers":{{with .Config}}{{json .OnBuild}}{{else}}null{{end}}}' "$2" | head -c 1048576; return; }
  found=$(timeout 20 podman image inspect --format '{{.Id}}' "$2") && store=$(timeout 20 podman info --format '{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}-images') || return 1
  for file in "$store/$found"/=*; do
    [ "$(sha256sum <"$file")" = "$found  -" ] || continue
    printf '{"config":'; head -c 1048576 "$file"; echo '}'; return
  done
  echo "the configuration of $2 is not in $store"; return 1
}
live_verbs="$live_verbs pull compose build"
do_pull() { live timeout -k 10 840 "$1" pull "$2" 9>&-; } # engine, name

do_compose() { # kind, command, project, how many places it is given, these (below the sandbox's folder), words...
  kind=$1 command=$2 project=$3 count=$4; shift 4
  unswapped "$count" "$@" || return 71
  shift "$count"; cd "$directory" || return 1
  end_builds
  # Each step of a build by Podman gets this control group, if the login may create one: so it can be found and ended.
  case "$(id -u) $*" in "0 "*--podman-build-args=*) set -- "--podman-build-args=--cgroup-parent=/$build_group" "$@" ;; esac
  # What Podman's client starts would get the limit as well, containers included. All of Docker's is a daemon's client.
  case $kind in podman-compose) ;; *) ulimit -v "$MOST_COMPOSE" ;; esac
  # shellcheck disable=SC2086
  live env "BUILDX_CONFIG=$directory/.buildx" $command -p "$project" -f "$directory/compose.json" "$@" # else a build leaves files in HOME
}
# Only the end of a build's output is kept, which says why it failed.
do_build() { # as of do_compose
  { code=$({ { do_compose "$@" 2>&1 7>&-; echo "$?" >&7; } | tail -c "$MOST_BUILD_OUTPUT" >&6; } 7>&1); } 6>&1
  return "${code:-1}"
}
MOST_BUILD_OUTPUT=65536 # bytes
MOST_COMPOSE=4194304 # KiB of addresses, of which a program in Go takes more than of memory

do_make_volume() { # name, words of `podman volume create`...
  volume=$1; shift
  podman volume exists "$volume" 9>&- || podman volume create "$@" "$volume" >/dev/null 9>&-
}

# Podman leaves a monitor behind for each container, which would hold the lock for as long as the container lives: so
# no command gets the lock's descriptor. The shell that waits for it has it all the while.
do_engine() { timeout 30 "$@"; } # engine, words...

# A line may be as long as a container likes.
do_logs() { timeout 30 "$1" logs --tail "$2" "$3" 2>&1 | tail -c 16384; } # engine, lines, container

# If Docker could not end a container cleanly, a network keeps its endpoint, and only force removes that.
free_of_the_dead() { # networks...
  [ "$engine" = docker ] && for network in "$@"; do
    # shellcheck disable=SC2016 # variables of the template
    ends='{{range $id, $end := .Containers}}{{if eq (printf "%.3s" $id) "ep-"}}{{println $end.Name}}{{end}}{{end}}'
    for end in $(limited docker network inspect --format "$ends" "$network"); do limited docker network disconnect -f "$network" "$end"; done
  done
}

# One container that cannot be ended does not keep the others, and no call waits long for it.
limited() { timeout 45 "$@"; }
some_at_a_time() { # command as words, things...
  command=$1; shift
  while [ "$#" -gt 0 ]; do
    some=; for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ "$#" = 0 ] || { some="$some $1"; shift; }; done
    # shellcheck disable=SC2086 # words on purpose
    limited $command $some >/dev/null || left_some=yes
  done
}

# Podman lists nothing at all if somebody else's volume is removed at that very moment; queried again, it does.
listed_of() { # a command that lists
  for try in 1 2 3 4 5; do
    found=$(limited "$@"); code=$?
    [ "$code" != 0 ] || { printf '%s\n' "$found"; return; }
    ! was_killed "$code" || return "$code"
  done
  return "$code"
}

# Podman removes no container that another one depends on, which was created after it: by `depends_on`, or for its
# network. It lists the oldest first.
newest_first() { # containers...
  turned=; for container in "$@"; do turned="$container $turned"; done
  for container in $turned; do limited podman rm -f -v -t 0 "$container" >/dev/null; done
}

# The volumes of one life. Podman 4.3 takes several labels of a volume for alternatives, so it is queried for each by
# itself, and what every reply names is ours.
own_volumes() { # words of a filter...
  [ "$engine" = podman ] || { listed_of docker volume ls -q "$@"; return; }
  of_fleet=$(listed_of podman volume ls -q --filter "label=dev.sandboxer.fleet=$fleet") &&
    of_id=$(listed_of podman volume ls -q --filter "label=dev.sandboxer.id=$id") &&
    of_life=$(listed_of podman volume ls -q --filter "label=dev.sandboxer.uid=$uid") || return
  for volume in $of_life; do
    case $line_break$of_fleet$line_break in *"$line_break$volume$line_break"*) ;; *) continue ;; esac
    case $line_break$of_id$line_break in *"$line_break$volume$line_break"*) printf '%s\n' "$volume" ;; esac
  done
}

# Removes by label and id only, whatever else a container says about itself; and only if every label agrees. Then
# observes again, because success is an absence that was observed. What others depend on is removed after them, in a
# later round.
do_teardown() { # engine, uid, volumes on record...
  end_builds
  engine=$1 uid=$2; shift 2
  [ "$engine" = podman ] && now='-t 0' || now= # Docker kills at once; Podman would wait 10 s for each
  mine="--filter label=dev.sandboxer.fleet=$fleet --filter label=dev.sandboxer.id=$id --filter label=dev.sandboxer.uid=$uid"
  before=
  for round in 1 2 3 4 5 6 7 8 9 10; do
    # shellcheck disable=SC2046,SC2086 # words on purpose
    {
      things=$(listed_of "$engine" ps -a -q --no-trunc $mine) || return 1
      left_some=; some_at_a_time "$engine rm -f -v $now" $things
      [ -z "$left_some" ] || [ "$engine" = docker ] || newest_first $(limited podman ps -a -q --no-trunc $mine)
      things=$(listed_of "$engine" network ls -q $mine) || return 1
      left_some=; some_at_a_time "$engine network rm" $things; [ -z "$left_some" ] || free_of_the_dead $things
      things=$(own_volumes $mine) || return 1
      some_at_a_time "$engine volume rm -f" $things
      left=$(listed_of "$engine" ps -a -q --no-trunc $mine && listed_of "$engine" network ls -q $mine && own_volumes $mine) || return 1
    }
    [ -n "$left" ] || break
    [ "$round" -lt 3 ] || [ "$left" != "$before" ] || break
    before=$left
  done
  [ -z "$left" ] || { printf 'still there: %s\n' "$left" | head -c 4096; return 1; }
  [ "$engine" != podman ] || forget_names
  some_at_a_time "$engine volume rm -f" "$@" 2>/dev/null
  # shellcheck disable=SC2046 # ids are words
  some_at_a_time "$engine image rm -f" $(limited "$engine" image ls -q --no-trunc --filter "label=dev.sandboxer.uid=$uid" | sort -u) 2>/dev/null
  return 0
}
