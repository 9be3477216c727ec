"""Sources: tables of images, one row each."""
