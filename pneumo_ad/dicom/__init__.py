"""DICOM beyond reading: results as DICOM objects, DICOMweb and a DICOM node. Needs the extra `dicom`."""
