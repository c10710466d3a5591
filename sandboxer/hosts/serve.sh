# The session: behind session.sh and the verbs of a backend. Waits for the lock at most `lock_seconds`; `holder` names its
# holder to other clients.
parameters nonce root fleet id lock_seconds holder
locate
take_lock
answer 0 ''
serve
leave
