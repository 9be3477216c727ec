"""Lung fields: the trained segmenter, and masks from files."""

import pneumo_ad.data  # noqa: F401  # first: its datamodule imports the fields below, which import its store
from pneumo_ad.lungs.fields import AutoFields, FileFields, LungFields, SegmenterFields, WholeImage
from pneumo_ad.lungs.segmenter import LungSegmenter

__all__ = ["AutoFields", "FileFields", "LungFields", "LungSegmenter", "SegmenterFields", "WholeImage"]
