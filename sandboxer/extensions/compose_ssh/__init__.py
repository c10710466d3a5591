"""``ext.compose-ssh``: a compose stack on a host, with the host's own container engine, over SSH."""
