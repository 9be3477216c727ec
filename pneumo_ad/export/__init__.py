"""A trained run as one graph that needs nothing of this project: from a fitted radiograph to map, score, percentile."""
