# What the conformance suite does on a host by itself; behind prelude.sh. `argument` is a path below the root, or a text.
# shellcheck shell=dash
parameters root what argument content
place=$root/$argument
case $what in
  entries) [ ! -e "$place" ] || find "$place" -printf '%P\0%y %m %s %T@ %l\0' ;;
  sums) [ ! -d "$place" ] || { cd "$place" && find . -type f -exec sha256sum -z {} +; } ;;
  read) [ ! -f "$place" ] || cat "$place" ;;
  write) mkdir -p "${place%/*}" && printf '%s\n' "$content" >"$place" ;;
  # A command in a value would leave its file where a command of ours began, or in the root.
  pwned) find "$PWD" "$HOME" /tmp -maxdepth 1 -name "$argument" -print -exec rm -f {} +; [ ! -e "$root" ] || find "$root" -name "$argument" -print ;;
  remove) rm -rf "$place" ;;
  # A process's command line has no line break of ours: it is shown with spaces between its words.
  processes)
    for process in /proc/[0-9]*; do
      [ "${process#/proc/}" = "$$" ] || { tr '\0\n' '  ' <"$process/cmdline" && echo; } 2>/dev/null
    done
    : ;;
  *) exit 64 ;;
esac
