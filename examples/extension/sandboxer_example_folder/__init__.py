"""An example of an extension for Sandboxer: a sandbox is a directory on the host, with the files of a commit."""
