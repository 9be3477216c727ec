"""Nets: (B, 1, p, p) in [0, 1] -> `Output`."""
