"""ext.dir-ssh: sandboxes as directories on a host, for which it needs no container engine."""
