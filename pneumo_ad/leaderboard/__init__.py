"""The runs of a sweep side by side: gathered, grouped by seed, measured on the same pixels, tabled and drawn."""
