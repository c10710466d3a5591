# Shared by observe.sh and sessions: how many files some directories have, and the sums of their sizes and times.
# A sum needs no order, and so no sort. Prints a line `<key> <files> <bytes> <seconds>` for each key that has any.
file_sums() { # where the folders are, how many names of a path are its key (1 or 2), folders...
  from=$1 names=$2; shift 2
  # GNU's find prints everything by itself. Busybox's needs stat, where a name of two lines would pass for two files.
  listed=$(cd "$from" && find "$@" -type f -printf '%s %Ts %H\n' 2>/dev/null) ||
    listed=$(cd "$from" && find "$@" -type f ! -path '*
*' -exec stat -c '%s %Y %n' {} + 2>/dev/null)
  summed='' files=0 bytes=0 seconds=0
  set -f; IFS='
'
  for line in $listed; do
    size=${line%% *} line=${line#* }
    time=${line%% *} path=${line#* }
    key=${path%%/*}
    [ "$names" = 1 ] || { path=${path#*/}; key=$key/${path%%/*}; }
    [ "$key" = "$summed" ] || { file_sum; summed=$key files=0 bytes=0 seconds=0; }
    files=$((files + 1)) bytes=$((bytes + size)) seconds=$((seconds + time))
  done
  set +f; unset IFS
  file_sum
}
file_sum() { [ -z "$summed" ] || echo "$summed $files $bytes $seconds"; }
