# The doctor's checks: which parts of what Sandboxer needs a host has. Facts only; they are judged elsewhere.
# `connection` is ssh or local. `runtime` and `requested_tool`, which may be empty, are for the parts of backends.
# Writes sections as observe.sh does. Nothing on the host is changed: the file that the lock is tried on has no name.
# Any tool may be missing, so these checks need none of them: only the shell. The parts of backends come behind these.
parameters nonce root fleet runtime connection requested_tool
has() { command -v "$1" >/dev/null 2>&1; }
within() { if timeout 5 sh -c : 2>/dev/null; then timeout "$@"; else shift; "$@"; fi; }
up() { read -r now _ </proc/uptime; echo "$now"; }

# Everything that the scripts of this package run, except `sh` and its built-in commands.
tools='cat chmod chown cp cut date dd df env find flock grep head id ls mkdir mv nproc rm rmdir sed sha256sum sleep sort stat sync tail tar tee timeout'

# A tool counts as broken if it does not do what it is used for: an old busybox, a stub.
try() { # tool, what is expected of it, the expected output, words
  tool=$1 what=$2 expected=$3; shift 3
  has "$tool" || return 0
  got=$("$@" 2>/dev/null) && [ "$got" = "$expected" ] || printf '%s %s\n' "$tool" "$what"
}
digest() { printf '' | sha256sum | cut -d ' ' -f 1; }
first_bytes() { printf abcdef | head -c 3; }
whole_block() { printf abcdef | dd bs=6 count=1 iflag=fullblock; }
unpack() { head -c 10240 /dev/zero | tar -x -o -p -f - -C "$place"; }
lock() { # one holder, or two of one lock: the second must fail
  # Where another user can change the path to the root, a link could lead out of it while the file is made.
  holders=$1; set -- /tmp "$HOME"; [ -n "$unsafe" ] || set -- "$place" "$@"
  for folder in "$@"; do
    [ -d "$folder" ] && [ -w "$folder" ] || continue
    file=$folder/.sandboxer-doctor-$nonce
    (umask 077; : >"$file") 2>/dev/null || continue
    exec 8>>"$file" 9>>"$file"; rm -f "$file"
    if [ "$holders" = one ]; then flock -n 8; else flock -n 8 && { ! flock -n 9; }; fi
    return
  done
}

tool_facts() {
  section missing; for tool in $tools; do has "$tool" || echo "$tool"; done
  section broken
  try timeout 'to end a command: timeout SECONDS COMMAND' '' timeout 5 sh -c :
  try dd 'to read whole blocks: iflag=fullblock' abcdef whole_block
  try head 'to cut at a number of bytes: -c' abc first_bytes
  try sha256sum 'to print a digest' e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 digest
  try find 'to run one command on many files: -exec COMMAND {} +' 0 find / -maxdepth 0 -exec stat -c %u {} +
  try stat 'to print owner and kind: -c FORMAT' '0 directory' stat -c '%u %F' /
  try sync 'to write one file to disk: sync FILE' '' sync "$place"
  try tar 'to unpack from standard input: -x -o -p -f - -C FOLDER' '' unpack
  try flock 'to lock an open file: flock -n NUMBER' '' lock one
  try flock 'to keep others out' '' lock two
}

system_facts() {
  section system
  while IFS= read -r line; do
    case $line in ID=* | ID_LIKE=* | VERSION_ID=* | PRETTY_NAME=*) printf '%s\n' "$line" ;; esac
  done 2>/dev/null </etc/os-release
  [ -d /run/systemd/system ] && echo systemd=yes
  section login; echo "$(id -u) $(id -un)"
  section clock; date -u +%s
  section cpus; nproc
  section memory; sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo
}

# The root itself, its parent, or the nearest existing directory above it, and the file system of that.
root_facts() {
  [ -z "$unsafe" ] || { section way; echo "$unsafe"; }
  for folder in "$root" "$root/$fleet"; do
    if [ -L "$folder" ] || [ -e "$folder" ]; then section folder "$folder"; stat -c '%u %a %F' "$folder"; fi
  done
  parent=$place; [ "$parent" = "$root" ] && parent=${root%/*}
  section parent "${parent:=/}"; stat -c '%a' "$parent"
  [ -w "$place" ] && [ -x "$place" ] && section writable
  section disk; df -Pk "$place"
  section filesystem; stat -f -c '%c %d %T' "$place"
  at=$(df -Pk "$place" | sed -n '$s/^.*% //p')
  section mounted
  while read -r _ point _ options _; do
    [ "$point" = "$at" ] && printf '%s\n' "$options"
  done </proc/self/mounts
}

# A job that cleans temporary directories would remove sandboxes too.
cleaner_facts() {
  if [ -d /run/systemd/system ] && has systemd-tmpfiles; then
    for folder in /usr/lib /usr/local/lib /run /etc; do
      for file in "$folder"/tmpfiles.d/*.conf; do
        [ -e "$file" ] || [ -L "$file" ] || continue
        section tmpfiles "${file##*/}"; sed -n '/^[A-Za-z]/p' "$file" 2>/dev/null
      done
    done
  fi
  [ -e /etc/cron.daily/tmpreaper ] && { section reaper tmpreaper; sed '/^ *#/d' /etc/tmpreaper.conf 2>/dev/null; }
  [ -e /etc/cron.daily/tmpwatch ] && { section reaper tmpwatch; sed '/^ *#/d' /etc/cron.daily/tmpwatch 2>/dev/null; }
}

# Only root can read the server's limits.
sshd_facts() {
  [ "$(id -u)" = 0 ] || return 0
  PATH=$PATH:/usr/sbin:/sbin
  [ "$connection" = ssh ] && has sshd || return 0
  section sshd; within 5 sshd -T 2>/dev/null | sed -n -e '/^maxsessions /p' -e '/^allowtcpforwarding /p' -e '/^disableforwarding /p'
}

# The login shell once more, as sshd starts it, because what it prints is normally dropped unread.
shell_facts() {
  [ "$connection" = ssh ] && [ -x "${SHELL:-}" ] || return 0
  section shell "$SHELL"
  SHLVL=0 within 10 "$SHELL" -c : </dev/null 2>/dev/null | head -c 400
  section host-keys
  for file in /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub /etc/ssh/ssh_host_rsa_key.pub; do
    [ -r "$file" ] && { read -r kind key _ <"$file"; printf '%s %s\n' "$kind" "$key"; }
  done
}

began=$(up)
place=$root; while [ ! -d "$place" ]; do place=${place%/*}; place=${place:-/}; done
way_to_root
tool_facts
system_facts
root_facts
cleaner_facts
sshd_facts
shell_facts
