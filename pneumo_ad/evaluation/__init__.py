"""What `pneumo-ad evaluate` does with an opened run, step by step: examine, calibrate, measure, write, draw."""
