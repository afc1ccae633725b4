"""The benchmark's own parts, small and quick: what it serves, what it compares, what it counts."""
