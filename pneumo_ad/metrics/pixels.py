"""What is known of a pixel, in every array of pixel truth; (H, W) of whole numbers."""

NOT_KNOWN = -1  # no metric counts it: padding, or covered by no window
OUTSIDE_LUNG = 0  # or lung not known
HEALTHY_LUNG = 1  # what is lung, ill or not, lies above OUTSIDE_LUNG
IN_OPACITY = 2
