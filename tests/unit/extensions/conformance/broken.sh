# What broken backends do on a host: each is a rule's opposite.
# shellcheck shell=dash disable=SC2154
do_late_events() { write_events "$directory" "$@"; }
do_unrecord() { rm -f "$directory/record.json"; }
