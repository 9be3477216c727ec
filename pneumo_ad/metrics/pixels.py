"""What is known of a pixel, in every array of pixel truth; (H, W) of whole numbers."""

NOT_KNOWN = -1  # no metric counts it: padding, or covered by no window
OUTSIDE_LUNG, HEALTHY_LUNG, IN_OPACITY = range(
    3
)  # outside the lung, or lung not known; so that lung and opacity are > 0
