"""`pneumo-ad listen`: a DICOM node that judges what it receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from pneumo_ad.dicom.addresses import check_title, destination_words
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import CALIBRATE, CHECKPOINT, RUN_OR_SHIPPED, Arguments, Key, one_of, path, switch, whole
from pneumo_ad.runs.command import Command

if TYPE_CHECKING:
    from pneumo_ad.prediction.predicted import Predicted

USAGE = """\
pneumo-ad listen [run=RUN] [port=PORT] output=DIR [key=value] ...

A DICOM node (C-ECHO, C-STORE) that judges the radiographs it receives, each instance UID once, until SIGTERM or Ctrl-C:
what is at hand is finished, the rest stays in the queue on disk, and the same command goes on. Writes what `pneumo-ad
predict` writes; tables name instances by their UID. An instance is acknowledged once it is on the disk, and its file is
deleted once it was judged and sent. Needs: pip install "pneumo_ad[dicom]"

{keys}

Keys of the run that `pneumo-ad predict` lets change may change here too.
"""


def listen(arguments: str | Sequence[str] = (), **keywords: object) -> Predicted:
    """Receive DICOM instances and judge them, as `pneumo-ad listen` does, until SIGTERM or Ctrl-C.

    Args:
        arguments: Arguments as on the command line, for example `["port=11112", "output=judged"]`.
        keywords: Keys without a dot, as keyword arguments: `port=11112, maps="none"`.

    Raises:
        ConfigError: A missing or unknown key, an invalid override, a missing package, or a port that is taken.
        DataError: A run that cannot be opened, or an output folder that cannot be written to.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.dicom.node import Tls
    from pneumo_ad.prediction.arrivals import Judging
    from pneumo_ad.prediction.listen import listen as receive

    own = dict(given.own)
    files = [own.pop(f"tls_{name}") for name in ("certificate", "key", "authority")]
    if any(files) and not all(files[:2]):
        raise ConfigError("TLS needs tls_certificate=FILE and tls_key=FILE; tls_authority=FILE alone has no effect")
    if own["forward"] and not own["send_to"]:
        raise ConfigError("forward=true needs send_to=AE@HOST:PORT or send_to=dicomweb:URL")
    how = {one.name: own.pop(one.name) for one in fields(Judging) if one.name in own}
    how["dicom"] = how["dicom"] or bool(own["send_to"])
    tls = Tls(*files) if any(files) else None
    title, most = own.pop("aet"), own.pop("queue")
    return receive(Judging(**how, overrides=given.overrides), title=title, most=most, tls=tls, **own)


def _show(found: Predicted, _: Arguments) -> None:
    from pneumo_ad.prediction.summary import print_prediction

    print_prediction(found)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError("a port, 1 to 65535")
    return int(text)


def _titles(text: str) -> list[str]:
    return [check_title(one) for one in text.split(",")]


COMMAND = Command(
    section="use",
    place=7,
    summary="a DICOM node that judges what it receives",
    example="[run=RUN] [port=PORT] output=DIR",
    run=listen,
    show=_show,
    usage=USAGE,
    keys=(
        replace(
            RUN_OR_SHIPPED,
            help="a folder written by `pneumo-ad train` or `pneumo-ad export`; without it the detector that ships",
        ),
        Key("port", "port to listen at", "11112", _port, 11112),
        Key("output", "a new or empty folder", "DIR", path, missing="output=... must be given: a folder to write to"),
        Key("host", "address to listen at: this machine alone, unless told", "127.0.0.1", str, "127.0.0.1"),
        Key("aet", "AE title of the node; peers that call another are rejected", "PNEUMO_AD", check_title, "PNEUMO_AD"),
        Key("allow", "AE titles that may send, with commas; without it all may", "AE,AE", _titles, ()),
        Key("tls_certificate", "with tls_key: talks TLS alone", "FILE", path),
        Key("tls_key", "private key of the certificate, PEM without a password", "FILE", path),
        Key("tls_authority", "authorities whose certificates peers must show", "FILE", path),
        Key("queue", "most instances in the queue; further ones are refused for now (A700)", "1000", whole, 1000),
        Key(
            "send_to",
            "sends the DICOM objects on, again and again until they are taken; dicomweb:URL stores them",
            "AE@HOST:PORT",
            destination_words,
            "",
        ),
        Key("forward", "also sends what was received on", "true", switch, False),
        Key(
            "dicom",
            "DICOM objects of each instance, as on `pneumo-ad predict`",
            "true",
            switch,
            False,
        ),
        CALIBRATE,
        Key("overlays", "without the heat maps over the radiographs", "false", switch, True),
        Key("maps", "anomaly maps: png (16 bit), npy (float32), or none", "png", one_of("png", "npy", "none"), "png"),
        Key("overwrite", "replace what an earlier call wrote to output, with its queue", "true", switch, False),
        CHECKPOINT,
    ),
    config="train",
)
