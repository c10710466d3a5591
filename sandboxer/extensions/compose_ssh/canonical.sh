# How the Compose of this machine reads a stack, for a plan: in a new directory that is removed again, and only where it
# can be confined. Prints the path of the files there, then the canonical form; the options are lines, then a tar.
parameters command project folder count
umask 077
set --
while [ "$count" -gt 0 ]; do IFS= read -r option; set -- "$@" "$option"; count=$((count - 1)); done
[ -n "$command" ] || command=$(compose_of docker) || exit 69
directory='' reader=''
trap '[ -z "$directory" ] || rm -rf "$directory"' EXIT
trap '[ -z "$reader" ] || { kill "$reader"; wait "$reader"; } 2>/dev/null; exit 143' HUP INT TERM
directory=$(mktemp -d) || exit 1
must_confine=1
printf '%s\n' "$directory/.compose/files"
# In the background: a shell heeds a signal only once the command that it waits for has ended, and is killed before that.
exec 3<&0
read_stack "$directory" docker-compose "$command" "$project" "$folder" "$@" <&3 3<&- &
reader=$!
wait "$reader"
