# The words of a command that runs in a sandbox, and how it runs; behind a backend's own script, which defines `enter`: what
# runs the words, or a shell if there are none. What the user types follows them.
# Reads lines: terminal (yes or no); its type; how many words the command has; these, as `printf %b` reads them.
if [ -n "$login_locale" ]; then LC_ALL=$login_locale; else unset LC_ALL; fi
read -r terminal; read -r kind; read -r count
set --
while [ "$count" -gt 0 ]; do
  IFS= read -r word
  word=$(printf '%b.' "$word")
  set -- "$@" "${word%.}"
  count=$((count - 1))
done

# Runs only as long as the caller is there. Its connection may break silently, and then sshd's process for it is gone; a
# command without a terminal would never notice.
watched() {
  child='' gone=''
  trap 'gone=yes; kill "$child" 2>/dev/null' HUP TERM
  exec 3<&0 # what runs in the background has nothing for input, unless it is given some
  "$@" <&3 3<&- &
  child=$!
  exec 3<&-
  { while kill -0 "$PPID"; do sleep 2; done; kill -TERM "$$"; } </dev/null >/dev/null 2>&1 &
  watcher=$!
  wait "$child"
  code=$?
  kill "$watcher" 2>/dev/null
}

enter "$@"
