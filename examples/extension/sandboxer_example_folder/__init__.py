"""An example of an extension for Sandboxer: a sandbox is a folder on the host, with the files of a commit."""
