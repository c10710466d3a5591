"""Scripts that the Makefile runs and the product does not need."""
