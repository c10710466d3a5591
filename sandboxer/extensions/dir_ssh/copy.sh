# Copies files out of the working copy of a sandbox, or into it, as a tar on standard output or input.
# `work` is the working copy's directory, `path` one in it, as `printf %b` reads it. As to `way`: `out` prints what is at the
# path, or what a link there leads to; `in` unpacks into the directory at the path. `kind` prints the first block of `out`.
parameters way work path
path=$(printf '%b.' "$path"); path=${path%.}
cd -P "$work" 2>/dev/null || { echo "the working copy is missing" >&2; exit 1; }
packed() {
  real=$(readlink -f ".$path" && printf .) && real=${real%?.} && [ -e "$real" ] || { echo "there is no $path" >&2; return 1; }
  tar -c -f - -C "${real%/*}/" "./${real##*/}" </dev/null
}
case $way in
  out) packed ;;
  in)
    [ -d ".$path" ] || { echo "there is no folder $path" >&2; exit 1; }
    tar -x -o -p -f - -C ".$path"
    ;;
  kind) packed 2>/dev/null | dd bs=512 count=1 iflag=fullblock 2>/dev/null ;;
esac
