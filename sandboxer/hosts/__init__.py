"""The protocol with a host: sessions under a lock, observations, journals, notes, and the shell scripts for them."""
