#!/bin/bash
# One host of the lab, from the inside.
#   host.sh start DIR NAME   on the machine: notes its own id in DIR/process, then becomes the host
#   host.sh switch DIR       on the machine: the same for the namespace that holds the hosts' bridge
#   host.sh init DIR NAME    the host's first process; reads its address and network from standard input
# DIR holds what the host has of its own (etc, var, run, tmp, homes, usr/local), and in `hide` what it shall not see.
set -euo pipefail

note_process() { # FILE; the id as the machine sees it, and the start that makes it unmistakable
  local stat
  read -r -a stat </proc/self/stat
  echo "${stat[0]} ${stat[21]}" >"$1.new"
  mv "$1.new" "$1"
}

start() {
  note_process "$1/process"
  exec unshare --mount --uts --ipc --net --pid --fork --kill-child -- "$BASH" "$0" init "$@"
}

switch() {
  note_process "$1/process"
  exec unshare --net -- sleep infinity
}

mount_own_cgroups() { # PART; the host's part of each tree takes the place of the whole
  local tree kind rest
  local -a trees=()
  while read -r _ tree kind rest; do
    [[ $kind == cgroup || $kind == cgroup2 ]] && trees+=("$tree")
  done </proc/mounts
  for tree in "${trees[@]}"; do
    mount --no-canonicalize --bind "$tree/$1" ./mnt
    umount "$tree"
    mount --no-canonicalize --move ./mnt "$tree"
  done
}

mount_own_files() {
  local folder
  for folder in usr/bin usr/sbin; do
    if [[ -d ./hide/$folder ]]; then
      mount -t overlay -o "ro,lowerdir=./hide/$folder:/$folder" overlay "/$folder"
    fi
  done
  mount -t overlay -o "lowerdir=/etc,upperdir=./etc,workdir=./etc.work" overlay /etc
  # /var last: it contains the working directory.
  for folder in usr/local opt srv home root run tmp var; do
    mount --no-canonicalize --bind "./$folder" "/$folder"
  done
  mount --options remount,bind,ro / # the machine's own files are no host's to change
}

init() {
  local dir=$1 name=$2 part address
  cd "$dir"
  note_process ./init
  # The starter plugs the cable in and then sends the address. If it is gone, this process ends too.
  read -r -t 60 part address
  mount -t proc proc /proc
  mount -t tmpfs -o mode=1777 shm /dev/shm
  hostname "$name"
  mount_own_cgroups "$part"
  mount_own_files
  cd /
  ip link set lo up
  ip address add "$address" dev eth0
  ip link set eth0 up
  export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  if [[ -e /etc/docker/daemon.json ]]; then
    { dockerd </dev/null >>/var/log/dockerd.log 2>&1 || echo "exit $?" >/run/dockerd.ended; } &
  fi
  /usr/sbin/sshd -D -e 2>/var/log/sshd.log &
  wait $!
}

case ${1:-} in
  start) shift; start "$@" ;;
  switch) shift; switch "$@" ;;
  init) shift; init "$@" ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
exit
