# Before every script that a host gets: the locale, the parameters, sections, and what is ours below a root.
# A program of the user's own must not get this locale: the login's is in `login_locale`.
login_locale=${LC_ALL-} LC_ALL=C; export LC_ALL

# A script states its parameters once, in a line of its own: each is set to one line of standard input. The client reads
# the same line of this text, and sends the values in that order. Only built-in commands: this costs no process.
parameters() { while [ "$#" -gt 0 ]; do IFS= read -r "$1"; shift; done; }

# Begins a part of the output. The nonce is fresh, so that nothing on the host can pass for the start of a section.
section() { printf '\n@%s %s\n' "$nonce" "$*"; }

# Whether no other user of the host can change the path to the root; before every script that works below a root.
# A user who owns a directory above it, may write to one, or owns a link there could replace the root in the middle of
# an apply. In a sticky directory such as /tmp only the entry itself counts.

# Sets `unsafe` to what is wrong, or to nothing. The usual roots need no external program for it.
way_to_root() {
  unsafe='' above=${root%/*}
  case $above in /tmp | /var/tmp) [ -k "$above" ] && [ ! -L "$above" ] && return ;; esac
  links='' followed=0
  each_folder "$above"
  # Root's links are followed one by one: the owner of a directory between two links controls what is behind it.
  while [ -n "$links" ] && [ -z "$unsafe" ] && [ "$followed" -lt 40 ]; do
    link=${links%%"$line_break"*} links=${links#*"$line_break"} followed=$((followed + 1))
    target=$(readlink "$link")
    case $target in '') ;; /*) each_folder "$target" ;; *) each_folder "${link%/*}/$target" ;; esac
  done
  [ -z "$unsafe" ] || return 0
  real=$(cd -P "${above:-/}" 2>/dev/null && pwd -P)
  [ "$real" = "${above:-/}" ] || each_folder "${real:-/}"
}
line_break='
'

each_folder() { # path
  part=${1%/}; set -- /
  while [ -n "$part" ]; do set -- "$@" "$part"; part=${part%/*}; done
  found=$(stat -c '%u %f %n' "$@" 2>/dev/null) # what is missing is made by us, and checked again
  set -f; IFS='
'
  for line in $found; do
    unset IFS
    owner=${line%% *} line=${line#* }; mode=$((0x${line%% *})) path=${line#* }
    [ -z "$unsafe" ] || continue
    [ "$((mode & 0170000))" != "$((0120000))" ] || links=$links$path$line_break
    if [ "$owner" != 0 ] && [ ! "$owner" = "${uid:=$(id -u)}" ]; then
      what='belongs to'; [ "$((mode & 0170000))" = "$((0120000))" ] && what='is a symbolic link of'
      unsafe="$path $what user id $owner, who could replace $root"
    elif [ "$((mode & 0170000))" != "$((0120000))" ] && [ "$((mode & 022))" != 0 ] && [ "$((mode & 01000))" = 0 ]; then
      unsafe="$path may be written by other users (mode $(printf %o "$((mode & 07777))")), who could replace $root"
    fi
  done
  set +f; unset IFS
}

# A directory of the fleet that is ours, below a root that is.
ours() {
  [ -d "$home" ] && [ ! -L "$home" ] && [ -O "$home" ] && [ ! -L "$root" ] && [ -O "$root" ] && way_to_root && [ -z "$unsafe" ]
}
