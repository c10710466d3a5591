#!/bin/sh
# Makes a sandbox of a small compose project on a host of yours, shows, lists, re-creates and destroys it, and looks
# whether anything of it is left there. What it needs is made in a folder of its own, which goes at the end.
#
#   sh scripts/smoke-compose-e2e.sh HOST         HOST is an alias of ~/.ssh/config, or [USER@]ADDRESS[:PORT]
#
# SANDBOX         the program; else .venv's beside this script, else the one on PATH
# SMOKE_IMAGE     an image with sleep, which is there or can be pulled; else busybox
# SMOKE_IDENTITY  the key file to log in with; else the agent's keys, else what ~/.ssh/config says
# SMOKE_HOST_KEY  the host's key, such as "ssh-ed25519 AAAA..."; else ~/.ssh/known_hosts must have it
# SMOKE_RUNTIME   docker or podman; else what the host has
set -eu
[ $# = 1 ] && [ -n "$1" ] || { echo "usage: sh scripts/smoke-compose-e2e.sh [USER@]HOST[:PORT]" >&2; exit 1; }
here=$(cd "$(dirname "$0")/.." && pwd)
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

work=$(mktemp -d "${TMPDIR:-/tmp}/sandboxer-smoke.XXXXXX")
fleet=$work/fleet repo=$work/project

sandbox() { "$program" -C "$fleet" "$@"; }
say() { printf '\n%s\n' "$*"; }
fail() { printf '\nfailed: %s\n' "$*" >&2; exit 1; }
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; } # as a word of YAML
given() { [ -z "$2" ] || printf '  %s: %s\n' "$1" "$(quoted "$2")"; }

# The fleet's name is its own, so all that it has on the host is this run's.
ended() {
  code=$?
  trap '' INT TERM HUP
  trap - EXIT
  if [ "$code" != 0 ] && [ -d "$fleet/.git" ]; then
    say 'Removing what is left:'
    sandbox destroy --all -y >&2 || echo "look at $1: containers with the label dev.sandboxer.fleet=$name" >&2
  fi
  rm -rf "$work"
  exit "$code"
}
trap 'ended "$1"' EXIT
trap 'exit 1' INT TERM HUP

write_fleet() {
  name=smoke-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
  mkdir -p "$fleet/manifests" "$fleet/profiles" "$repo/e2e"
  head='apiVersion: sandboxer.dev/v1'
  printf '%s\nkind: Fleet\nmetadata: {name: %s}\n' "$head" "$name" >"$fleet/sandboxer.yaml"
  {
    printf '%s\nkind: Host\nmetadata: {name: smoke}\nspec:\n' "$head"
    given address "$address"
    given user "$user"
    [ -z "$port" ] || printf '  port: %s\n' "$port"
    given identityFile "${SMOKE_IDENTITY:-}"
    given hostKey "${SMOKE_HOST_KEY:-}"
    given runtime "${SMOKE_RUNTIME:-}"
  } >"$fleet/manifests/host.yaml"
  printf '%s\nkind: Profile\nmetadata: {name: profile.compose-e2e}\nspec:\n%s\n%s\n%s\n' "$head" \
    '  extension: ext.compose-ssh' '  compose: {files: [e2e/compose.yaml]}' '  ttl: {default: 30m}' \
    >"$fleet/profiles/compose-e2e.yaml"
  printf 'services:\n  web:\n    image: %s\n    command: [sleep, "86400"]\n' \
    "$(quoted "${SMOKE_IMAGE:-busybox}")" >"$repo/e2e/compose.yaml"
  for folder in "$fleet" "$repo"; do
    git -C "$folder" init -q
    git -C "$folder" add -A
    git -C "$folder" -c user.name=smoke -c user.email=smoke@localhost -c commit.gpgsign=false commit -q -m smoke
  done
}

write_fleet
say "sandbox create --profile profile.compose-e2e --input repo=$repo"
sandbox create --profile profile.compose-e2e --input repo="$repo" >"$work/created"
cat "$work/created"
id=$(sed -n 's/^  id  *\([0-9a-f]\{8\}\)$/\1/p' "$work/created")
[ -n "$id" ] || fail 'create printed no id'
say "sandbox get $id"
sandbox get "$id"
say 'sandbox list'
sandbox list
say "sandbox recreate $id"
sandbox recreate "$id"
say "sandbox destroy $id"
sandbox destroy "$id"
say "sandbox destroy $id, which is success again"
sandbox destroy "$id"

[ -z "$(sandbox list -o name)" ] || fail 'list still shows it'
sandbox plan -o json >"$work/plan"
! grep -q "$id" "$work/plan" || fail 'something of it is left on the host: see sandboxer plan'
say "Nothing is left on $1: all is well."
