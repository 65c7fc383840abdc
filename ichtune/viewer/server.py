"""The viewer's server: on the loopback address alone, and for its own page alone."""

import json
import re
import secrets
import sys
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import numpy as np

from ichtune.data.formats.size import MAX_BYTES
from ichtune.errors import InputError
from ichtune.viewer.requests import HEADERS, LOOPBACK, has_token, is_ours
from ichtune.viewer.routes import Answer, Asked, answer
from ichtune.viewer.session import Gone, Session
from ichtune.viewer.study import MIB, TooLarge

_STATIC: Final = files("ichtune.viewer") / "static"
_FILE: Final = re.compile(r"/((?:vendor/)?[a-z-]+\.(html|css|js|txt))")
_KINDS: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "txt": "text/plain"}
_SILENT_S: Final = 60  # a connection on which nothing arrives for so long is closed


class ViewerServer(ThreadingHTTPServer):
    """Serves the page and a session on 127.0.0.1, for whoever has the token in its address."""

    daemon_threads = True

    def __init__(self, session: Session, model: str, port: int = 0) -> None:
        """`model` is the name to be shown; port 0 takes a free one.

        Raises:
            InputError: the port can't be used.
        """
        self.session, self.model = session, model
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"--port {port}: can't be used ({reason}); omit it to take a free one") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is said of a browser that has gone; any other error is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The page's address. The token is in its fragment, which browsers never send."""
        return f"http://{LOOPBACK}:{self.server_port}/#{self.token}"


class _Refused(Exception):
    """A request that isn't answered; the message is the reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SILENT_S

    @property
    def viewer(self) -> ViewerServer:
        assert isinstance(self.server, ViewerServer)
        return self.server

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def version_string(self) -> str:
        return "ichtune"

    def log_message(self, format: str, *args: Any) -> None:
        """Requests aren't logged, since their addresses have the names of files."""

    def _respond(self) -> None:
        try:
            content, kind = self._content()
        except (ConnectionError, TimeoutError):
            raise
        except _Refused as why:
            self._refuse(why.status, str(why))
        except Gone as why:
            self._refuse(HTTPStatus.NOT_FOUND, str(why))
        except TooLarge as why:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(why))
        except Exception as error:
            traceback.print_exc()
            self._refuse(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"the viewer failed ({error}); its terminal says where"
            )
        else:
            self._send(HTTPStatus.OK, content, kind)

    def _content(self) -> tuple[bytes, str]:
        address = urlsplit(self.path)
        for_page = self.command == "GET" and address.path == "/"
        if not is_ours(self.headers, self.viewer.server_port, for_page=for_page):
            raise _Refused(HTTPStatus.FORBIDDEN, "only the viewer's own page is answered")
        if self.command == "GET" and not address.path.startswith("/api/"):
            return _static(address.path)
        if not has_token(self.headers, self.viewer.token):
            raise _Refused(HTTPStatus.FORBIDDEN, "open the whole address that the terminal shows")
        body = self._body() if self.command == "POST" else b""
        name = parse_qs(address.query).get("name", [""])[0]
        return _encoded(
            answer(self.command, address.path, Asked(self.viewer.session, self.viewer.model, name, body))
        )

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "a request must state its length")
        most = min(MAX_BYTES, self.viewer.session.most)
        if len(length) > 12 or int(length) > most:
            raise TooLarge(f"a file of more than {most // MIB:,} MiB; raise --max-upload if it is a CT slice")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the browser has gone while it was sending")
        return body

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # a body that wasn't read would be taken for the next request
        self._send(status, *_encoded({"reason": reason}))

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _static(path: str) -> tuple[bytes, str]:
    found = _FILE.fullmatch("/index.html" if path == "/" else path)
    file = _STATIC / found[1] if found else None
    if found is None or file is None or not file.is_file():
        raise Gone("there is nothing at this address")
    return file.read_bytes(), f"{_KINDS[found[2]]}; charset=utf-8"


def _encoded(value: Answer) -> tuple[bytes, str]:
    if isinstance(value, np.ndarray):
        return value.tobytes(), "application/octet-stream"
    return json.dumps(value).encode(), "application/json"
