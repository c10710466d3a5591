"""The command line. Each command is a separate module, imported when it is used."""
