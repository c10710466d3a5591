"""What a backend must answer, and the one that is built in: compose stacks on hosts over SSH."""
