"""From a file to grey values: DICOM, TIFF, and what Pillow reads."""

from pneumo_ad.data.readers.radiograph import read_radiograph

__all__ = ["read_radiograph"]
