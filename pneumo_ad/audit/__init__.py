"""The parts of `pneumo-ad audit`: duplicates, counts and findings, the figure, what is printed."""
