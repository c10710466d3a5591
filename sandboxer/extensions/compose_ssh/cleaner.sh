# Removes what the login may not remove because a container wrote it as root: for `force_remove`, behind session.sh.
# It uses no image of the host, because any of them may be a stranger's. Root needs none, and Podman without root has
# its own means. Docker is given an image without content: one empty layer and an empty configuration, as a tar in the
# layouts of both Docker and OCI. It is identified by its digest (of the configuration where Docker keeps images itself,
# of the manifest where containerd does), has no name, and is removed by the client that loaded it. What runs in it is
# the host's own `rm`.
empty_image() {
  printf '\037\213\010\000\000\000\000\000\002\003\355\230Ko\332@\024F\371)\325lK\315\274<c\263\355\266\313\252\233'
  printf '\012U\363\204\251\214\215\260\211\222\042\376{/&!\042,\022\001q\253\366\236\215\315 \017W\330\347\233;n\134'
  printf '\372T\231\207f\323\215\336\015\012()\373#\360\362H\251P\317\347\375\270\326\271\034}\240\243\001\330\264\235'
  printf 'Y\303O\216\376O\266\044-\315<|\351\037\201oa\335\246\246&S\3022\232Q\262\033!\3778\251\366\341>\373\3316\365'
  printf '\237\363\237k~\356?E\377\207\361\177i\352\024C\333\265d\372}K|\232\3039\044@\2730<WS^\224\245\022\314\031'
  printf '\346\004\347\2141.K[\024Q(\312\274\311KJ\275*s\025r\351Y\264b\177\237\255\265R\010\045y\014T\2231Y\006\237'
  printf '\314\327\207U\200Y\315jU\045g:H\231\311]\355\263\306\245\254\017\240\354\251\214\354\216}\334?\216pa\233~'
  printf '\3015\242\324\273\031|p\213\2604\307\204\342\230M7\341\370\267\277c\004\274\352\277\322\247\3763*s\201\376'
  printf '\017\001(\377\271\251c\232\203\234\266jl;9\210?\261B\351R\356\357[\344\205\320\334\310h\231g\134Ka\013\255'
  printf '\213 \015\014\033md\031\045+\251\315C\264\312\233Ph\317\274\312\301_h*@W\210\225\323\231\363\250\251\215\254'
  printf '0\264P\020\365\224\251P\312\302Ri\202\207\2719\243\302\010e\203\221L\347\271U\316\373h\042\243\306\005\341T'
  printf '\210d\266\233\241\2707\342\246\367\374R\377\2458\365\237S\251q\375\037h\3757k\267H]p\335f\335\257\320K\257'
  printf '\044\310\353\036Sa\273\033\223\006\044&U\2527\367\360\305\272i\272\010\003\373^!\306\037\311\367\206?\266'
  printf '\013\327\273=&\335\241U\250\016\351\261\303\205~0\377\257m\366.\364_\261\374\245\377\214+\364\177\030\377'
  printf '\217\242\237\365\3767h\001\336\326\373\037J8\353\374\231\022\020>\325S\027q^\340\325i\363\326\002\373\032'
  printf '\240\276\014\236\225\347\362\140\341\332\357L.\337\337\374\005[\232\233vf\227\371\317O\336\005\366\376\263'
  printf '\375+A\364\037A\020\004A\020\004A\020\004A\020\004A\256\3447K\024{Y\000(\000\000'
} # a tar, compressed: tests/unit/extensions/compose_ssh/test_cleaner.py makes it again
EMPTY_CONFIG=sha256:b367940644f28372a4fb1d12743b8778e4a837a7a49f4190b5efb6dae87d1d65
EMPTY_MANIFEST=sha256:2899631ca1c322111249b88f3601da5900d6956e54d1fb30644bbb433642fe07
CLEANING_SECONDS=40

# Sets `image` to the digest of the empty image, if Docker has it under its own digest.
has_empty_image() {
  for image in "$EMPTY_CONFIG" "$EMPTY_MANIFEST"; do
    [ "$(timeout 20 docker image inspect --format '{{.Id}}' "$image" 2>/dev/null 9>&-)" = "$image" ] && return
  done
  return 1
}

# An image that is loaded twice, or that another cleaner removed before it is used here, is loaded again.
empty_folder() { # folder; what is in it goes, and the folder stays
  loaded='' cleaner=sandboxer-cleaner-$id-$$ gone=$1
  set --; for mounted in /bin /lib /lib64 /usr; do [ -d "$mounted" ] && set -- "$@" -v "$mounted:$mounted:ro"; done
  for try in 1 2 3; do
    has_empty_image || { loaded=yes; empty_image | timeout 20 docker load -q >/dev/null 9>&-; has_empty_image; } ||
      { echo "docker cannot load the empty image that would remove $gone"; return 1; }
    # As the host's root where Docker maps users, because only that user may change what belongs to the login.
    output=$(timeout "$CLEANING_SECONDS" docker run --rm --name "$cleaner" --label "dev.sandboxer.cleaner=$id" \
      --user 0:0 --userns host --network none --ipc none --cap-drop ALL --cap-add DAC_OVERRIDE --cap-add FOWNER --read-only \
      --security-opt no-new-privileges --pids-limit 16 --memory 256m --log-driver none --no-healthcheck --workdir / \
      "$@" -v "$gone:/gone" --entrypoint /bin/rm "$image" -rf -- /gone 2>&1 9>&- </dev/null)
    code=$?
    [ "$code" = 125 ] || break # Docker itself could not
  done
  case $code in 0 | 1) ;; *) timeout 20 docker rm -f "$cleaner" >/dev/null 2>&1 9>&- ;; esac
  [ -z "$loaded" ] || timeout 20 docker image rm "$image" >/dev/null 2>&1 9>&-
}

remove_by_engine() { # path
  case $engine in
    podman) timeout "$CLEANING_SECONDS" podman unshare rm -rf -- "$1" 9>&- </dev/null ;;
    docker) if [ -d "$1" ] && [ ! -L "$1" ]; then empty_folder "$1"; fi ;;
  esac
}
removers="$removers remove_by_engine"
