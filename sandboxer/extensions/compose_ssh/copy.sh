# Copies files out of a container, or into it, as a tar on standard output or input.
# `path` is as `printf %b` reads it. As to `way`: `out` prints what is at the path, or what a link there leads to; `in`
# unpacks into the directory at the path. `kind` prints the first block of `out`.
parameters way engine id path
path=$(printf '%b.' "$path"); path=${path%.}
follow=
[ "$engine" = docker ] && follow=-L # as Podman does anyway
case $way in
  out) "$engine" cp $follow "$id:$path" - </dev/null ;;
  in) "$engine" cp - "$id:$path" >/dev/null ;;
  kind) "$engine" cp $follow "$id:$path" - </dev/null | dd bs=512 count=1 iflag=fullblock 2>/dev/null ;;
esac
