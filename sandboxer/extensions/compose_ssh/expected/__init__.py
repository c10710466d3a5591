"""The stack that Compose will read from a commit's files, evaluated from the files alone: no host, no engine."""
