# Runs a command that reads a stranger's files where it sees only programs and one directory: a mount namespace with its
# own root, no network, its own processes. If the host does not support that, it runs without, within limits.

# In the new namespaces: builds the root, leaves the old one, and becomes the command. It reports that on descriptor 3.
# shellcheck disable=SC2016 # for the shell in there
confine='
PATH=$PATH:/usr/sbin:/sbin place=$1 new=$2 folder=$3 program=$4 options=$5; shift 5
show() { # paths... that are there too
  for path in "$@"; do
    [ -e "$path" ] && [ ! -e "$new$path" ] || continue
    if [ -d "$path" ]; then mkdir -p "$new$path"; else mkdir -p "$new${path%/*}" && : >"$new$path"; fi &&
      mount -o "$options" "$path" "$new$path" || exit 1
  done
}
show_program() { # a path; what it leads to as well, and with a program of Python what it needs beside it
  show_beside "$1"; show_beside "$(readlink -f "$1")"
}
show_beside() {
  case $1 in /usr/* | /bin/* | /sbin/*) return ;; /*) ;; *) return ;; esac
  case ${1%/*} in
    */bin) prefix=${1%/*} prefix=${prefix%/*}; show "${1%/*}" "$prefix"/lib/python3* "$prefix"/lib/libpython* "$prefix/pyvenv.cfg" ;;
    *) show "$1" ;;
  esac
}
mount -t tmpfs -o mode=755,size=4m none "$new" || exit 1
for path in /bin /sbin /lib /lib32 /lib64; do [ ! -L "$path" ] || cp -P "$path" "$new/" || exit 1; done
mkdir -p "$new/etc" "$new/proc" "$new/tmp" "$new/old" "$new$HOME" || exit 1
for path in /etc/ld.so.cache /etc/ld-musl-*.path; do [ ! -f "$path" ] || cp "$path" "$new/etc/" || exit 1; done
echo "root:x:0:0::/:/bin/sh" >"$new/etc/passwd"
show /usr /bin /sbin /lib /lib32 /lib64 /dev/null /dev/urandom /etc/alternatives "$place"
show_program "$program"
line=
[ ! -f "$program" ] || read -r line <"$program"
case $line in "#!/"*) line=${line#??}; show_program "${line%% *}" ;; esac
[ -z "$HOME" ] || show "$HOME/.docker/cli-plugins"
mount -t proc none "$new/proc" 2>/dev/null
cd "$new" && pivot_root . old && cd / && umount -l /old && rmdir /old && cd "$folder" || exit 1
echo entered >&3
exec 3>&-
if setpriv --no-new-privs --inh-caps=-all --bounding-set=-all true 2>/dev/null; then
  exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
fi
exec "$@"
'

# Beyond these limits the command is ended, whatever it does with a signal; and it does not keep a lock held.
most_seconds=30
within_bounds() { # seconds, command...
  { ulimit -t 20; ulimit -v 2097152; ulimit -f 16384; } 2>/dev/null
  exec timeout -k 2 "$@" 9>&-
}

# Options of unshare, and of mount. A way counts only if the program can be started in there, with all its parts.
as_root='-m -n -i -p -f rbind,ro' as_user='-U -r -m -n -i -p -f rbind'

# The first of these in which a command succeeds; nothing if there is none. Nothing on the host is changed for that.
way_to_confine() { # command...
  for way in "$as_root" "$as_user"; do
    # Descriptor 3 is opened in there: the timeout of BusyBox would keep its own copy open for all its seconds.
    # shellcheck disable=SC2086 # several options
    answer=$(timeout 20 unshare ${way% *} sh -c "exec 3>&1 >/dev/null;$confine" sh /usr /tmp /usr "$(command -v "$1")" "${way##* }" "$@" 2>/dev/null </dev/null) &&
      [ "$answer" = entered ] && { echo "$way"; return; }
  done
}

# The first way that the host supports is used; it is in $way then, which is empty if there is none. With $must_confine
# the command does not run where there is none.
confined() { # the one folder, the folder in it to run in, the program's path or nothing, command...
  place=$1 folder=$2 program=$3; shift 3
  rm -rf "$place.root"; mkdir -p "$place.root" || return 1
  for way in "$as_root" "$as_user" ''; do
    if [ -z "$way" ]; then [ -z "${must_confine-}" ] || { code=126; break; }; (cd "$folder" && within_bounds "$most_seconds" "$@"); code=$?; break; fi
    : >"$place.entered"
    # shellcheck disable=SC2086 # several options
    (within_bounds "$((most_seconds + 10))" unshare ${way% *} sh -c "$confine" sh "$place" "$place.root" "$folder" "$program" "${way##* }" timeout -k 2 "$most_seconds" "$@" 3>"$place.entered" 2>"$place.said")
    code=$?
    [ ! -s "$place.entered" ] || [ "$code" = 126 ] || [ "$code" = 127 ] || { cat "$place.said" >&2; break; }
  done
  rm -rf "$place.entered" "$place.said"; rmdir "$place.root"
  return "$code"
}
