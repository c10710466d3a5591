"""What an attacker tries, on real hosts and both engines: a class of attack a file, named in docs/security.md."""
