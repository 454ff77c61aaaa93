"""What pooch downloads with: bounded in size, in redirects, and in patience with a server."""

import contextlib
import os
import ssl
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pooch
import requests
import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from charnn.errors import FetchError

#: How many places a server may send us on to.
_REDIRECTS = 5

#: A connection that is not made by then never is.
_CONNECT_SECONDS = 10.0

#: Less than this for as long as the timeout is a server that stalls.
_LEAST_BYTES_PER_SECOND = 100

_PIECE_BYTES = 1 << 16

#: Called with the number of bytes that just came.
Advance = Callable[[int], None]


def download(
    url: str,
    path: Path,
    *,
    size: int,
    hash: str,
    timeout: float,
    advance: Advance = lambda done: None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Put what a URL gives into a file, if it is what it should be.

    Args:
        url: http or https; proxies are taken from the usual variables of the environment.
        path: the file; it appears whole or not at all.
        size: its bytes. No more are ever read.
        hash: ``sha256:`` or ``md5:`` and the digits.
        timeout: seconds in which something must come.
        advance: called with the bytes that came.
        clock: tells seconds.

    Raises:
        FetchError: why it cannot be had.
        OSError: the file cannot be written.
    """
    pooch.get_logger().setLevel("ERROR")
    with _Session(timeout, clock) as session:

        def write(url: str, output_file: str, pooch: object = None) -> None:
            os.unlink(output_file)  # pooch made it for its owner alone
            with open(output_file, "xb") as file:
                for piece in session.read(url, size):
                    file.write(piece)
                    advance(len(piece))

        try:
            pooch.retrieve(url, hash, path.name, path.parent.absolute(), downloader=write)
        except ValueError as error:
            kind = hash.partition(":")[0].upper()
            raise FetchError(f"what it sends is something else, by its {kind}") from error


class _Session:
    """Reads what servers send."""

    def __init__(self, timeout: float, clock: Callable[[], float]) -> None:
        self._timeout = timeout
        self._clock = clock
        self._session = requests.Session()

    def __enter__(self) -> "_Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def read(self, url: str, size: int) -> Iterator[bytes]:
        """The bytes of a URL, which must be so many."""
        with self._answer(url) as response:
            yield from self._pieces(response.raw, size)

    def _answer(self, url: str) -> requests.Response:
        for _ in range(_REDIRECTS + 1):
            if urlsplit(url).scheme not in ("http", "https"):
                raise FetchError(f"it sends us on to {url}, which is not on the web")
            with self._explained():
                response = self._get(url)
                target = self._session.get_redirect_target(response)
                if target is not None:
                    url = urljoin(url, target)
            if target is None:
                break
            response.close()
        else:
            raise FetchError("it sends us on and on")
        if response.status_code != requests.codes.ok:
            response.close()
            raise FetchError(f"it answered {response.status_code} {response.reason}".rstrip())
        return response

    def _get(self, url: str) -> requests.Response:
        """One request. ``Session.get`` would read all of a redirect's body, however long."""
        headers = {"User-Agent": "charnn"}
        request = self._session.prepare_request(requests.Request("GET", url, headers=headers))
        settings = self._session.merge_environment_settings(url, {}, True, None, None)
        return self._session.get_adapter(url).send(
            request, timeout=(min(self._timeout, _CONNECT_SECONDS), self._timeout), **settings
        )

    def _pieces(self, raw: urllib3.BaseHTTPResponse, size: int) -> Iterator[bytes]:
        """What comes, as it comes, so that a trickle is seen to be one."""
        done = 0
        since, before = self._clock(), 0
        while piece := self._next(raw, done, size):
            done += len(piece)
            if done > size:
                raise FetchError(f"it sends more than the {size:,} bytes that there should be")
            yield piece
            now = self._clock()
            if now - since >= self._timeout:
                if done - before < _LEAST_BYTES_PER_SECOND * (now - since):
                    raise FetchError(f"next to nothing came for {self._timeout:g} seconds")
                since, before = now, done
        if done < size:
            raise self._stopped(done, size)

    def _next(self, raw: urllib3.BaseHTTPResponse, done: int, size: int) -> bytes:
        with self._explained():
            try:
                return raw.read1(_PIECE_BYTES, decode_content=True)
            except ProtocolError as error:
                raise self._stopped(done, size) from error

    def _stopped(self, done: int, size: int) -> FetchError:
        return FetchError(f"it stopped after {done:,} of {size:,} bytes")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn whatever fails in talking to a server into a reason."""
        try:
            yield
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise FetchError(f"nothing came for {self._timeout:g} seconds") from error
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            raise FetchError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """What lies at the bottom of an error, in words."""
    found = ""
    inner: BaseException | None = error
    seen: list[BaseException] = []
    while inner is not None and inner not in seen:
        seen.append(inner)
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"its certificate is not to be trusted: {inner.verify_message}"
        if isinstance(inner, OSError) and inner.strerror:
            found = inner.strerror
        inner = next(
            (
                one
                for one in (getattr(inner, "reason", None), *inner.args, inner.__cause__)
                if isinstance(one, BaseException)
            ),
            None,
        )
    return found or str(error) or type(error).__name__
