"""Lung fields from the trained segmenter and from mask files."""

from pneumo_ad.data.lung_fields import LungFields, WholeImage
from pneumo_ad.lungs.fields import AutoFields, FileFields, SegmenterFields
from pneumo_ad.lungs.segmenter import LungSegmenter

__all__ = ["AutoFields", "FileFields", "LungFields", "LungSegmenter", "SegmenterFields", "WholeImage"]
