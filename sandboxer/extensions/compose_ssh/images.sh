# The images that were built for sandboxes: behind session.sh. They carry the labels of their sandbox. A build takes the
# name from the former image, which is then of no use to anybody. An image that has a name of somebody else is left
# alone, and so is one that a container uses: the engine refuses to remove it.
# The labels are of whoever made the image: in JSON, none of them can look like the line of another image.
built_images() { # engine, label; lines `<id>|"<uid>"|<names>|"<root>"`
  found=$(timeout 45 "$1" image ls -q --no-trunc --filter "label=$2" 9>&-) && [ -n "$found" ] || return 0
  # shellcheck disable=SC2046,SC2086 # ids are words
  timeout 45 "$1" image inspect --format '{{.Id}}|{{json (index .Config.Labels "dev.sandboxer.uid")}}|{{range .RepoTags}}{{.}} {{end}}|{{json (index .Config.Labels "dev.sandboxer.root")}}' $(printf '%s\n' $found | sort -u) 2>/dev/null 9>&-
}
remove_built() { # engine, image
  timeout 45 "$1" image rm "$2" >/dev/null 2>&1 9>&- </dev/null
}

# After an apply: what the services no longer use of what was built for this life.
do_tidy_images() { # engine, uid, names of the images that the services use...
  engine=$1 uid=$2; shift 2; keep=" $* "
  built_images "$engine" "dev.sandboxer.uid=$uid" | while IFS='|' read -r image life names place; do
    [ "$life" = "\"$uid\"" ] && [ "$place" = "\"$root\"" ] || continue
    used=
    for name in $names; do
      name=${name#localhost/} name=${name%:*}
      case $keep in *" $name "*) used=yes ;; esac
      case $name in sbx-*-"$id"-*) ;; *) used=yes ;; esac
    done
    [ -n "$used" ] || remove_built "$engine" "$image"
  done
  return 0
}

# What was built for a life that no record of the fleet is about. A record is there before its images, and goes after
# them: so the records are read once the images are listed, or those of a sandbox that is being created would go.
sweep_images() {
  case $engine in docker | podman) ;; *) return 0 ;; esac
  built_images "$engine" "dev.sandboxer.fleet=$fleet" | while IFS='|' read -r image life names place; do
    [ "$place" = "\"$root\"" ] || continue
    life=${life#\"} life=${life%\"}
    case $life in '' | *[!0-9a-f]*) continue ;; esac
    [ ! -e "$home/.staging-$life" ] && [ ! -e "$home/.trash-$life" ] || continue
    for name in $names; do case ${name#localhost/} in sbx-*) ;; *) continue 2 ;; esac; done
    is_recorded "$life"; [ $? = 1 ] || continue # any other code is no answer
    remove_built "$engine" "$image"
  done
}
is_recorded() { # uid
  set -- "$1" "$home"/*/record.json
  [ "$2" != "$home/*/record.json" ] || return 1
  life=$1; shift
  grep -q -F "\"uid\":\"$life\"" "$@" 2>/dev/null
}
sweepers="$sweepers sweep_images"
