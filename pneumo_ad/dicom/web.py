"""DICOMweb: search (QIDO-RS), fetch (WADO-RS) and store (STOW-RS), by dicomweb-client.

Credentials come from the environment alone. Messages hold no query, answer or credential: they may name a patient.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn
from urllib.parse import urlsplit

from pneumo_ad.data.readers.dicom_checks import MODALITIES
from pneumo_ad.dicom.addresses import PASSWORD, TOKEN, USER, is_uid
from pneumo_ad.dicom.extra import check_extra
from pneumo_ad.dicom.failures import RefusedError, UnreachableError
from pneumo_ad.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pydicom import Dataset

log = logging.getLogger(__name__)

TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
ATTEMPTS, PAUSE = 4, 500  # of each request; milliseconds before the second, doubled before each further one
_PAGE = 100  # results of a search that are asked for at a time; servers may give fewer
_AGAIN = tuple(map(HTTPStatus, (408, 429, 500, 502, 503, 504)))  # statuses that may pass
_STUDY, _SERIES, _INSTANCE, _PATIENT, _MODALITY = "0020000D", "0020000E", "00080018", "00100020", "00080060"


@dataclass(frozen=True)
class Query:
    """Studies to search for; "" leaves one out.

    Attributes:
        patient: Patient ID. Kept in memory alone.
        study: Study Instance UID.
        date: Study date, YYYYMMDD, or a range of two with `-`.
    """

    patient: str = ""
    study: str = ""
    date: str = ""

    @property
    def filters(self) -> dict[str, str]:
        """Attributes of QIDO-RS by keyword."""
        keywords = {"patient": "PatientID", "study": "StudyInstanceUID", "date": "StudyDate"}
        return {keywords[one.name]: value for one in fields(self) if (value := getattr(self, one.name))}

    @property
    def words(self) -> str:
        """The query for messages and records, without the patient.

        >>> Query(patient="A", date="20260101").words
        'patient=(not shown) date=20260101'
        """
        shown = {"patient": "(not shown)", "study": self.study, "date": self.date}
        return " ".join(f"{name}={value}" for name, value in shown.items() if getattr(self, name))


class WebInstance(NamedTuple):
    """An instance on a server.

    Attributes:
        study: Study Instance UID.
        series: Series Instance UID.
        uid: SOP Instance UID.
    """

    study: str
    series: str
    uid: str


class Server:
    """A DICOMweb server.

    Args:
        url: Base URL, see `addresses.server_of`.
        key: Key of the command that names it, for messages: `input` or `output`.

    Raises:
        ConfigError: dicomweb-client is missing, or the environment holds half of the credentials.
    """

    def __init__(self, url: str, key: str = "input") -> None:
        check_extra(f"{key}=dicomweb:URL", "dicomweb_client")
        for name in ("dicomweb_client", "urllib3.connectionpool"):  # they hold queries
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        from dicomweb_client import DICOMwebClient

        self.words = f"{key}=dicomweb:{url}"
        plain = url.startswith("http:") and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1")
        if plain and (os.environ.get(TOKEN) or os.environ.get(USER)):
            log.warning(
                "%s gets the credentials of the environment, and sends radiographs, unencrypted: https", self.words
            )
        self._client = DICOMwebClient(url, _session(), timeout=TIMEOUT, callback=_whole)
        self._client.set_http_retry_params(True, ATTEMPTS, PAUSE, _AGAIN)

    def search(self, query: Query) -> Iterator[WebInstance]:
        """Find the radiographs of studies: instances whose series say CR, DX or RG, page by page.

        Args:
            query: Studies to search for.

        Raises:
            DataError: No study, or none with a radiograph; or the server does not answer as it should.
        """
        studies, kinds, found = 0, set[str](), 0
        for study in self._pages(self._client.search_for_studies, _STUDY, search_filters=query.filters):
            uid = _value(study, _STUDY)
            if _differs(study, _PATIENT, query.patient) or _differs(study, _STUDY, query.study):
                raise DataError(
                    f"{self.words} answers with studies that were not asked for ({query.words}); expected a server "
                    "that searches by them. Nothing of it was judged"
                )
            studies += 1
            for instance in self._pages(self._client.search_for_instances, _INSTANCE, uid, fields=["Modality"]):
                kind = _value(instance, _MODALITY).upper()
                if kind in MODALITIES:
                    found += 1
                    yield WebInstance(uid, _value(instance, _SERIES), _value(instance, _INSTANCE))
                else:
                    kinds.add(re.sub(r"[^A-Z0-9_]", "?", kind)[:16])
        if not studies:
            raise DataError(f"{self.words} holds no study of {query.words}; expected at least one")
        if not found:
            raise DataError(
                f"{self.words}: {studies} studies of {query.words} hold no radiograph, but {', '.join(sorted(kinds))}; "
                f"expected series of modality {', '.join(filter(None, MODALITIES))}"
            )

    def _pages(self, search: Callable[..., list[dict[str, Any]]], tag: str, *of: str, **about: Any) -> Iterator[Any]:
        """Yield the results of a search with different UIDs; ends with the page that brings no new one."""
        seen: set[str] = set()
        while True:
            with self._named("the search"):
                page = search(*of, limit=_PAGE, offset=len(seen), **about)
                uids = [_value(one, tag) for one in page]
            if strange := [uid for uid in uids if not is_uid(uid)]:
                raise DataError(f"{self.words} answers with {len(strange)} results without a valid UID ({tag})")
            new = [one for one, uid in zip(page, uids, strict=True) if uid not in seen]
            if not new:
                return
            seen |= set(uids)
            yield from new

    def fetch(self, instance: WebInstance) -> Dataset:
        """Fetch an instance in the transfer syntax in which the server has it.

        Args:
            instance: Instance.

        Raises:
            UnreachableError: The server does not answer, or refuses all requests.
            RefusedError: The server refuses this instance, or sends something else.
        """
        with self._named(f"instance {instance.uid}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how the server frames its answer
            dataset = self._client.retrieve_instance(*instance)
            uid = str(dataset.get("SOPInstanceUID", "none"))
        if uid != instance.uid:
            other = uid if is_uid(uid) else "no valid UID"
            raise RefusedError(f"instance {instance.uid}: {self.words} sent another ({other}); it is not judged")
        return dataset

    def send(self, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Store files, one request each; see `send.Destination`.

        Args:
            files: DICOM files.
        """
        from pydicom import dcmread

        for file in files:
            try:
                dataset = dcmread(file)
            except Exception as reason:  # damaged headers make pydicom raise errors of many types
                yield file, f"{file.name} cannot be sent: it is no whole DICOM file ({type(reason).__name__})"
                continue
            try:
                with self._named(f"storing {dataset.get('SOPInstanceUID', file.name)}"):
                    answer = self._client.store_instances([dataset])
                    failed = [int(one.get("FailureReason", 0)) for one in answer.get("FailedSOPSequence", ())]
                yield file, f"{self.words} refused {file.name} (status {failed[0]:#06x})" if failed else ""
            except RefusedError as reason:
                yield file, str(reason)

    def _named(self, what: str) -> _Named:
        return _Named(self.words, what)


class _Named:
    """Turns the errors of a request into those of this project, without what they hold."""

    def __init__(self, server: str, what: str) -> None:
        self._server, self._what = server, what

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> Literal[False]:
        """Raise the error of this project.

        Raises:
            UnreachableError: The server does not answer, or refuses all requests.
            RefusedError: The server refuses this request, or its answer is not what it should be.
        """
        if isinstance(error, Exception) and not isinstance(error, DataError):
            self._raise(error)
        return False

    def _raise(self, error: Exception) -> NoReturn:
        from requests import RequestException
        from requests.exceptions import ConnectionError as Broken
        from requests.exceptions import HTTPError, SSLError, Timeout
        from retrying import RetryError  # type: ignore[import-untyped]

        server, what = self._server, self._what
        status = None
        if isinstance(error, RetryError):  # the last answer, of a status that may pass
            status = error.last_attempt.value.status_code if not error.last_attempt.has_exception else None
        if isinstance(error, HTTPError):
            status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise UnreachableError(
                f"{server}: {what} is not allowed (HTTP {status}); expected credentials in the environment: {USER} and "
                f"{PASSWORD}, or {TOKEN}"
            ) from None
        if status in _AGAIN and status != HTTPStatus.INTERNAL_SERVER_ERROR:  # which may be of one instance alone
            raise UnreachableError(
                f"{server}: {what} failed {ATTEMPTS} times (HTTP {status}); expected a server that answers. The same "
                "command goes on once it does"
            ) from None
        if status is not None:
            raise RefusedError(
                f"{server}: {what} was refused (HTTP {status}); expected the base URL of DICOMweb, such as "
                "https://HOST/dicom-web, and a server that has, or takes, what is asked for"
            ) from None
        if isinstance(error, SSLError):
            raise UnreachableError(
                f"{server}: its certificate is not trusted; REQUESTS_CA_BUNDLE=FILE in the environment names "
                "certificates that are"
            ) from None
        if isinstance(error, Timeout):
            raise UnreachableError(
                f"{server}: {what} timed out {ATTEMPTS} times, {TIMEOUT[0]:g} s to connect or {TIMEOUT[1]:g} s "
                "without a byte; is it the right host and port? The same command goes on"
            ) from None
        if isinstance(error, Broken) and "NewConnectionError" in repr(error):
            raise UnreachableError(
                f"{server} is not there: nothing listens at that host and port. Start the server, or mend the URL; the "
                "same command goes on"
            ) from None
        if isinstance(error, RequestException) and not isinstance(error, ValueError):
            raise UnreachableError(
                f"{server} broke off {ATTEMPTS} times ({what}); expected a whole answer. The same command goes on"
            ) from None
        raise RefusedError(
            f"{server}: the answer to {what} is not what DICOMweb says ({type(error).__name__}); expected "
            "application/dicom+json of a search and multipart/related of one whole instance"
        ) from None


def _session() -> Any:
    """Make a session with the credentials of the environment, and no others."""
    import requests

    session = requests.Session()
    token, user, password = (os.environ.get(name) for name in (TOKEN, USER, PASSWORD))
    if (user is None) != (password is None) or (token and user):
        raise ConfigError(f"expected {USER} and {PASSWORD} in the environment, or {TOKEN} alone, or none of them")

    def authorised(request: Any) -> Any:
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    session.auth = (user, password or "") if user is not None else authorised  # else .netrc would be read
    return session


def _whole(response: Any, **_: Any) -> Any:
    """Check that an answer in parts ends with the boundary that it announced: dicomweb-client takes a cut one."""
    from requests.exceptions import ConnectionError as Broken

    boundary = re.search(r'multipart/.*boundary="?([^";]+)', response.headers.get("Content-Type", ""), re.IGNORECASE)
    if response.ok and boundary and response.content.rfind(f"--{boundary[1]}--".encode()) < 0:
        raise Broken("cut")
    return response


def _value(result: dict[str, Any], tag: str) -> str:
    """The first value of an attribute in DICOM JSON; "" where it has none."""
    values = result.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _differs(result: dict[str, Any], tag: str, asked: str) -> bool:
    return bool(asked) and tag in result and _value(result, tag) != asked
