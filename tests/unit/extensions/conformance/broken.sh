# What broken backends do on a host: each is a rule's opposite.
# shellcheck shell=dash disable=SC2154
do_late_events() { tell "$box" "$@"; }
do_unrecord() { rm -f "$box/record.json"; }
