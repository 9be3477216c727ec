"""Prediction for files or studies of a server, with its DICOM objects kept, sent or both."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pneumo_ad.dicom.addresses import server_of
from pneumo_ad.dicom.send import open_destination
from pneumo_ad.dicom.web import Query
from pneumo_ad.errors import ConfigError
from pneumo_ad.prediction.arrivals import Judging
from pneumo_ad.prediction.fetched import predict_dicomweb
from pneumo_ad.prediction.predict import predict_folder
from pneumo_ad.prediction.predicted import Predicted
from pneumo_ad.prediction.sending import send_all

log = logging.getLogger(__name__)

_TITLE = "PNEUMO_AD"  # AE title to send from
TABLES = Path("predicted")  # folder of the tables where the output is a server


def predict_from(source: Path | str, output: Path | str, query: Query, send_to: str = "", **how: Any) -> Predicted:
    """Judge files, or the radiographs of studies on a server, and send the DICOM objects on if asked.

    Args:
        source: Folder or file, or `dicomweb:URL`.
        output: Folder; or `dicomweb:URL`, which is `send_to`, with the tables in `predicted` of the working folder.
        query: Studies to fetch from a server.
        send_to: Node (`AE@host:port`) or server (`dicomweb:URL`) that DICOM objects are sent to; "" sends nothing.
        how: Further arguments of `predict_folder`.

    Raises:
        ConfigError: Keys that do not go together, or see `predict_folder`.
        DataError: See `predict_folder` and `predict_dicomweb`; or the peer refuses objects, or is not there.
        SystemExit: Interrupted by Ctrl-C or SIGTERM; the same command continues.
    """
    key = "send_to"
    if isinstance(output, str):
        if send_to:
            raise ConfigError(
                "output=dicomweb:URL and send_to= are two places to send to; give output=DIR with send_to="
            )
        key, send_to, output = "output", output, TABLES
    destination = open_destination(send_to, _TITLE, key) if send_to else None
    how["dicom"] = how.get("dicom", False) or bool(send_to)
    if isinstance(source, Path):
        if query.filters:
            raise ConfigError("patient=, study= and date= search a server; they need input=dicomweb:URL")
        predicted = predict_folder(source=source, output=output, **how)
    else:
        if not query.filters:
            raise ConfigError(f"input={source} needs patient=ID, study=UID or date=YYYYMMDD[-YYYYMMDD]: what to fetch")
        if how.pop("report", False):
            raise ConfigError("report=true draws files again, and those of input=dicomweb:URL are deleted once judged")
        if how.pop("num_shards", 1) != 1 or how.pop("shard", None) is not None:
            raise ConfigError("num_shards= and shard= are of files; input=dicomweb:URL is judged by one process")
        predicted = predict_dicomweb(Judging(output=output, **how), server_of(source), query)
    if destination and not predicted.left:  # the shard that ends last sends those of all
        objects = sorted(file for file in (output / "dicom").rglob("*.dcm") if file.is_file())
        log.info("%d DICOM objects are stored at %s", send_all(objects, destination), destination.words)
    return predicted
