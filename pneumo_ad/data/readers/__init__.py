"""Readers of image files: DICOM, TIFF, and other formats of Pillow."""

from pneumo_ad.data.readers.radiograph import read_radiograph

__all__ = ["read_radiograph"]
