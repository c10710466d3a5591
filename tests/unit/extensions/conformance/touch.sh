# An observation that writes.
# shellcheck shell=dash disable=SC2154
for record in "$root/$fleet"/*/record.json; do [ ! -f "$record" ] || touch "$record"; done
