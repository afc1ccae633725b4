"""The nouns: frozen values without I/O, one file each. Everything else is built from these."""
