# The whole text of a sandbox's last failure, which lies beside its record; nothing where there is none. Writes nothing.
parameters root fleet id
home=$root/$fleet file=$root/$fleet/$id/last-error.txt
ours || exit 0
[ ! -L "$home/$id" ] && [ -f "$file" ] && [ ! -L "$file" ] || exit 0
head -c 131072 "$file"
