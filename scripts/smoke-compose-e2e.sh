#!/bin/sh
# Follows docs/runbooks/profile-compose-e2e.md on one of your hosts: runs every step exactly as written, in a folder that is
# removed at the end. After a failure or Ctrl-C it destroys what it created.
#
#   sh scripts/smoke-compose-e2e.sh HOST         HOST is an alias of ~/.ssh/config, or [USER@]ADDRESS[:PORT]
#
# SANDBOX         the program; else .venv's beside this script, else the one on PATH
# SMOKE_IMAGE     an image with httpd and wget, present or available to pull; else the runbook's
# SMOKE_IDENTITY  the key file to log in with; else the agent's keys, else what ~/.ssh/config says
# SMOKE_HOST_KEY  the host's key, such as "ssh-ed25519 AAAA..."; else ~/.ssh/known_hosts must have it
# SMOKE_RUNTIME   docker or podman; else what the host has
set -eu
[ $# = 1 ] && [ -n "$1" ] || { echo "usage: sh scripts/smoke-compose-e2e.sh [USER@]HOST[:PORT]" >&2; exit 1; }
here=$(cd "$(dirname "$0")/.." && pwd)
runbook=$here/docs/runbooks/profile-compose-e2e.md
program=${SANDBOX:-}
[ -n "$program" ] || { [ -x "$here/.venv/bin/sandbox" ] && program=$here/.venv/bin/sandbox || program=sandbox; }
command -v "$program" >/dev/null || { echo "there is no $program: install Sandboxer, or set SANDBOX" >&2; exit 1; }

address=$1 user='' port=''
case $address in *@*) user=${address%%@*} address=${address#*@} ;; esac
case $address in
  \[*\]:*) port=${address##*:} address=${address#\[} address=${address%\]:*} ;;
  \[*\]) address=${address#\[} address=${address%\]} ;;
  *:*:*) ;; # an IPv6 address without a port
  *:*) port=${address##*:} address=${address%:*} ;;
esac

sandbox() { "$program" "$@"; }
sandboxer() { "$program" "$@"; }
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; } # as a word of YAML
given() { [ -z "$2" ] || printf ', %s: %s' "$1" "$(quoted "$2")"; }

# Every shell block below a heading, except the values, after a line that names the step.
steps() {
  awk '
    /^## /           { title = substr($0, 4) }
    /^```sh$/        { inside = 1; print "step " quote title quote; next }
    /^```/           { inside = 0 }
    inside           { print }
  ' quote="'" "$runbook"
}

step() { # its title, and its commands as the runbook has them
  printf '\n%s\n' "$1"
  awk -v title="## $1" '$0 == title { on = 1 } on && /^```$/ { exit } on && code { print } on && /^```sh$/ { code = 1 }' "$runbook"
}

ended() {
  code=$?
  trap '' INT TERM HUP
  trap - EXIT
  if [ "$code" != 0 ] && [ -d "$work/fleet/.git" ]; then
    printf '\nRemoving what is left:\n'
    "$program" -C "$work/fleet" destroy --all -y >&2 ||
      echo "look at $1: containers with the label dev.sandboxer.fleet=$FLEET" >&2
  fi
  rm -rf "$work"
  exit "$code"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/sandboxer-smoke.XXXXXX")
trap 'ended "$1"' EXIT
trap 'exit 1' INT TERM HUP

# The values of step 1. The fleet's name is unique to this run, and so is everything that it has on the host.
HOST_SPEC="{address: $(quoted "$address")$(given user "$user")${port:+, port: $port}$(given identityFile "${SMOKE_IDENTITY:-}")"
HOST_SPEC="$HOST_SPEC$(given hostKey "${SMOKE_HOST_KEY:-}")$(given runtime "${SMOKE_RUNTIME:-}")}"
FLEET=smoke-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
# shellcheck disable=SC2034 # the steps use these two
NAME=$FLEET-web
# shellcheck disable=SC2034
IMAGE=${SMOKE_IMAGE:-$(sed -n 's/^IMAGE=\([^ ]*\).*/\1/p' "$runbook")}
export GIT_AUTHOR_NAME=smoke GIT_AUTHOR_EMAIL=smoke@localhost GIT_COMMITTER_NAME=smoke GIT_COMMITTER_EMAIL=smoke@localhost
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=commit.gpgsign GIT_CONFIG_VALUE_0=false

steps >"$work/steps.sh"
cd "$work"
# shellcheck source=/dev/null # written a line above, from the page
. ./steps.sh
printf '\nNothing is left on %s: all is well.\n' "$1"
