# What the logs of a sandbox may not show: its secrets as they were delivered, and the compose file that runs, whose
# variables may be sensitive. Prints sections, and writes nothing: `refused` where they may not be read, and `end` at last.
parameters nonce root fleet id
home=$root/$fleet directory=$root/$fleet/$id
if ours && [ -d "$directory" ] && [ ! -L "$directory" ]; then
  for secret in "$directory"/secrets/*; do
    [ -f "$secret" ] && [ ! -L "$secret" ] && [ ! -L "$directory/secrets" ] && { section secret; head -c 1048576 "$secret"; }
  done
  [ -f "$directory/compose.json" ] && [ ! -L "$directory/compose.json" ] && { section compose; head -c 16777216 "$directory/compose.json"; }
elif [ -e "$directory" ] || [ -L "$directory" ]; then
  section refused
fi 2>/dev/null
section end
