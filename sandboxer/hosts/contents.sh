# The delivered files of some sandboxes, each with the SHA-256 of its content; links, each with its target.
# Then come ids, one on a line. Prints sections as observe.sh does, and writes nothing.
# A name with a line break is left out: in a line it would look like two names.
parameters nonce root fleet
way_to_root; [ -z "$unsafe" ] || { echo "$unsafe" >&2; exit 1; }
cd "$root/$fleet" || exit 1
folders=
while read -r id; do
  for part in tree bind; do
    [ -d "$id/workspace/$part" ] && [ ! -L "$id/workspace" ] && folders="$folders $id/workspace/$part"
  done
done
if [ -n "$folders" ]; then
  # shellcheck disable=SC2086 # words
  {
    section files; find $folders -type f ! -path '*
*' -exec sha256sum {} +
    section links; find $folders -type l ! -path '*
*' -print -exec readlink {} \;
  }
fi
section end
