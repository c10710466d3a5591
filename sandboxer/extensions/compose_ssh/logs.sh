# The logs of some containers, one after the other, each with its standard error included.
# `tail` is how many lines at the end of each (all or a number), `timestamps` is yes or no. Then come ids, one on a line.
# Behind each log is a line `@<nonce> <exit code>`, and an empty one before it if the log did not end its last line.
parameters nonce engine tail timestamps
[ "$tail" = all ] && tail= # which Podman has no word for
[ "$timestamps" = yes ] && timestamps=--timestamps || timestamps=
while read -r id; do
  # shellcheck disable=SC2086 # an option or none
  "$engine" logs ${tail:+--tail "$tail"} $timestamps "$id" 2>&1 </dev/null
  printf '\n@%s %s\n' "$nonce" "$?"
done
