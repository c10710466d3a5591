# Observes what a plan needs to know of one host, in one command that writes nothing. Runs behind root.sh and verbs.sh.
# Reads lines: nonce, root, fleet. Prints sections, each behind a line `@<nonce> <name>`. The last one is `end`, without
# which the output is incomplete. The nonce is fresh, so no file on the host can pass for the start of a section.
# shellcheck shell=dash
LC_ALL=C; export LC_ALL
read -r nonce; read -r root; read -r fleet
home=$root/$fleet
section() { printf '\n@%s %s\n' "$nonce" "$*"; }

section clock; date +%s
section boot; cat /proc/sys/kernel/random/boot_id
section cpus; nproc
section memory; sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo
place=$root; while [ ! -d "$place" ]; do place=${place%/*}; place=${place:-/}; done
section disk; df -Pk "$place" | tail -n 1

# A record is read only from a regular file: a link could present any file of the host as ours.
sandboxes() {
  for box in "$home"/????????; do
    [ -f "$box/record.json" ] && [ ! -L "$box/record.json" ] && [ ! -L "$box" ] || continue
    section record "${box##*/}"; head -c 1048577 "$box/record.json"
    [ -d "$box/workspace" ] && { section workspace "${box##*/}"; sums "$box/workspace"; }
  done
}

# A missing directory of the fleet holds nothing. If it is somebody else's, nothing is known about it.
there() { [ -e "$1" ] || [ -L "$1" ]; }
if ours; then
  sandboxes
elif there "$home" || { there "$root" && [ ! -O "$root" ]; }; then
  section problem; echo "$home does not belong to the login user alone${unsafe:+: $unsafe}"
fi
section end
