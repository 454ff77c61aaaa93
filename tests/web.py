"""A web server on this machine that truncates, stalls, redirects and lies, as it is told to."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    """Answers as the server's ``answers`` say, by path; a proxy's requests have whole URLs."""

    server: "Web"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        with contextlib.suppress(OSError):
            self.server.answers.get(self.path, status(404))(self)
        self.close_connection = True

    do_CONNECT = do_GET

    def log_message(self, *_: object) -> None:
        pass


Answer = Callable[[_Handler], None]


class Web(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        #: Set when an answer stalls; what stalls goes on once the test is over.
        self.stalled = threading.Event()
        self.over = threading.Event()

    def handle_error(self, *_: object) -> None:
        pass

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


@contextlib.contextmanager
def serving() -> Iterator[Web]:
    with Web() as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            web.over.set()
            web.shutdown()
            thread.join()


def raw(*pieces: bytes) -> Answer:
    """These bytes as they are, and the end."""

    def answer(handler: _Handler) -> None:
        for piece in pieces:
            handler.wfile.write(piece)

    return answer


def reply(code: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: _Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def status(code: int) -> Answer:
    return reply(code)


def body(data: bytes, length: int | None = None) -> Answer:
    """Data, and a length that may be a lie."""
    return reply(200, data, Content_Length=str(len(data) if length is None else length))


def redirect(target: str, data: bytes = b"") -> Answer:
    return reply(302, data, Location=target)


def endless(code: int = 200, **headers: str) -> Answer:
    """More and more bytes until nobody listens."""

    def answer(handler: _Handler) -> None:
        reply(code, **headers)(handler)
        while not handler.server.over.is_set():
            handler.wfile.write(bytes(1 << 16))

    return answer


def stalling(data: bytes, length: int) -> Answer:
    """Some of the data, and then nothing any more."""

    def answer(handler: _Handler) -> None:
        body(data, length)(handler)
        handler.wfile.flush()
        handler.server.stalled.set()
        handler.server.over.wait(60)

    return answer


def silent(handler: _Handler) -> None:
    """No answer at all."""
    handler.server.stalled.set()
    handler.server.over.wait(60)
