"""DICOM files that the tests write themselves."""

from pathlib import Path

import gdcm
import numpy as np
import pandas as pd
from drawn import radiograph
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

GDCM_SYNTAXES = {
    "jpeg": gdcm.TransferSyntax.JPEGBaselineProcess1,
    "jpeg_lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "jpeg_ls": gdcm.TransferSyntax.JPEGLSLossless,
    "jpeg_2000": gdcm.TransferSyntax.JPEG2000Lossless,
}
SYNTAXES = ["deflated", "rle", *GDCM_SYNTAXES]


def dicom_of(pixels, bits=None, **tags):
    """A computed radiograph of (H, W) integers; a tag of None is left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["test"])
    allocated = pixels.dtype.itemsize * 8
    bits = bits or allocated
    values = {
        "Modality": "CR", "PatientID": "someone", "PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1,
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsAllocated": allocated, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }  # fmt: skip
    for name, value in (values | tags).items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    return dataset


def write_dicom(path, pixels, bits=None, **tags):
    dicom_of(pixels, bits, **tags).save_as(path, enforce_file_format=True)
    return Path(path)


PATIENT = ("Ampersand^Zenobia", "ZQ-4711-X")  # name and id that must not be found anywhere


def write_studies(folder, number, damaged=(), side=96):
    """Studies of one radiograph each, named by their instance UIDs; the pixels of `damaged` ones are cut."""
    folder, files = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(number):
        uids = dict.fromkeys(["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
        uids = {key: generate_uid(entropy_srcs=[key, str(seed)]) for key in uids}
        facts = {"PatientName": PATIENT[0], "PatientID": PATIENT[1], "StudyDate": f"202601{1 + seed % 28:02d}"}
        pixels = radiograph(seed, side, side, bool(seed % 2)).astype(np.uint16) * 16
        dataset = dicom_of(pixels, bits=12, ViewPosition="PA", BodyPartExamined="CHEST", **facts, **uids)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if seed in damaged:
            dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
        files.append(folder / f"{dataset.SOPInstanceUID}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def lut(entries, first=0, bits=16):
    """A LUT sequence: level `first` becomes entries[0]."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = np.asarray(entries, dtype=np.uint16).tobytes()
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item["LUTData"].VR = "OW"
    return Sequence([item])


def compress(source, target, name):
    """Another transfer syntax, by the encoders of pydicom and GDCM."""
    if name not in GDCM_SYNTAXES:
        dataset = dcmread(source)
        if name == "rle":
            # Not GDCM, whose encoder ends the process at odd sizes.
            dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        else:
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(target)
        return Path(target)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(GDCM_SYNTAXES[name]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return Path(target)


def write_rsna(folder, normal=4, sick=4, other=2, size=96, compressed=()):
    """The layout of `data=rsna`; `compressed` names images that are to be JPEG, as all of the set are."""
    images = Path(folder) / "stage_2_train_images"
    images.mkdir(parents=True)
    boxes, classes = [], []
    kinds = ["Normal"] * normal + ["Lung Opacity"] * sick + ["No Lung Opacity / Not Normal"] * other
    for number, kind in enumerate(kinds):
        name, ill = f"{number:08x}-rsna", kind == "Lung Opacity"
        facts = {"PatientID": name, "PatientSex": "F", "PatientAge": f"{40 + number:03d}Y"}
        facts["ViewPosition"] = "AP" if ill else "PA"
        path = write_dicom(images / f"{name}.dcm", radiograph(number, size, size, ill), **facts)
        if name in compressed:
            compress(path, path, "jpeg")
        found = [(0.1 * size, 0.3 * size, 0.3 * size, 0.4 * size), (8, 8, 6, 6)] if ill else [("", "", "", "")]
        boxes += [(name, *box, int(ill)) for box in found]
        classes += [(name, kind)] * len(found)
    for csv, rows, columns in (
        ("stage_2_train_labels.csv", boxes, ["patientId", "x", "y", "width", "height", "Target"]),
        ("stage_2_detailed_class_info.csv", classes, ["patientId", "class"]),
    ):
        pd.DataFrame(rows, columns=columns).to_csv(Path(folder) / csv, index=False)
    return Path(folder)


def write_study(path, pixels, number=1, bits=None, **tags):
    """A radiograph with all that objects which refer to it need; `number` makes its ids."""
    study = {
        "StudyInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.2.3.{number}.1",
        "SOPInstanceUID": f"1.2.3.{number}.1.1", "PatientName": "Doe^Jane", "PatientBirthDate": "19700102",
        "PatientSex": "F", "StudyDate": "20200304", "StudyTime": "0506", "StudyID": "7", "AccessionNumber": "8",
        "ReferringPhysicianName": "Roe^Richard", "BodyPartExamined": "CHEST", "PatientOrientation": ["L", "F"],
    }  # fmt: skip
    dataset = dicom_of(pixels, bits, **study | tags)
    for name in ("SOPInstanceUID", "SOPClassUID"):
        if (study | tags).get(name, "given") is None:
            del dataset[name]
        elif dataset[name].value:
            setattr(dataset.file_meta, f"MediaStorage{name}", dataset[name].value)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return Path(path)
