# This backend's part of the observation of a host. Runs behind Sandboxer's own part and verbs.sh, in the same command,
# and writes nothing. Prints a section for each sandbox: how many files its folder has, and their sums.
# shellcheck shell=dash disable=SC2154

# Sandboxer's part has found whether somebody else can change the way to the root.
folder_sums() {
  [ -z "$unsafe" ] && [ -O "$root" ] && [ ! -L "$root/$fleet" ] || return 0
  for directory in "$root/$fleet"/????????; do
    [ -d "$directory/workspace" ] && [ ! -L "$directory" ] && [ ! -L "$directory/workspace" ] || continue
    section folder-sums "${directory##*/}"; sums "$directory/workspace"
  done
}
folder_sums
