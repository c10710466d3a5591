# How the Compose of this machine reads a stack, for a plan: in a new directory that is removed again, and only where it
# can be confined. Prints the path of the files there, then the canonical form; the options are lines, then a tar.
parameters command project folder count
umask 077
set --
while [ "$count" -gt 0 ]; do IFS= read -r option; set -- "$@" "$option"; count=$((count - 1)); done
[ -n "$command" ] || command=$(compose_of docker) || exit 69
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
trap 'exit 143' HUP INT TERM
must_confine=1
printf '%s\n' "$directory/.compose/files"
read_stack "$directory" docker-compose "$command" "$project" "$folder" "$@"
