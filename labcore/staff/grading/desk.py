"""`labcore review`: a page to read free texts on, served to this machine alone.

As JupyterLab does it, the address holds a token. Requests for another host name are
refused, and so are those that come from another page.
"""

from __future__ import annotations

import hmac
import json
import platform
import secrets
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkstemp
from urllib.parse import parse_qs, urlsplit

from labcore.runtime import LabError
from labcore.staff.grading.assignment import read_assignment
from labcore.staff.grading.pages import shared
from labcore.staff.grading.review import Conflict, Reviews
from labcore.staff.grading.store import Store
from labcore.student.jupyter import has_browser

__all__ = ["Desk", "review"]

WSL = "microsoft" in platform.release().lower()  # its browser reads no files of ours
HERE = "127.0.0.1"
LARGEST = 8_000_000  # bytes of a request: all comments that are kept, and more
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REDIRECT = '<!DOCTYPE html><meta http-equiv="refresh" content="0; url={}">\n'
NO_TOKEN = "Open the address that labcore review printed: it ends with a token.\n"
ANOTHER = "This page answers only to itself, at the address that was printed.\n"


def review(folder: Path, root: Path, port: int, browser: bool) -> None:
    """Serve the page until Ctrl-C."""
    store = Store(folder)
    if not store.run():
        raise LabError(f"There are no grades in {folder}: grade submissions first.")
    assignment = read_assignment(store.run()["lab"], root)
    reviews = Reviews(store, assignment.questions)
    try:
        desk = Desk(reviews, assignment.number, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(
            f"Port {port} cannot be used ({reason}): name another with --port."
        ) from None
    try:
        print(f"Read the free texts at\n\n    {desk.address}\n", flush=True)
        print("The address is for you alone. Press Ctrl-C here to end.", flush=True)
        with ExitStack() as stack:
            if browser and has_browser():
                with suppress(OSError):  # a full disk: the printed address remains
                    file = stack.enter_context(_leading_to(desk.address, folder))
                    webbrowser.open(desk.address if WSL else file)
            desk.serve_forever()
    except KeyboardInterrupt:
        print(file=sys.stderr)
    finally:
        with reviews.lock:  # what is being saved is saved
            desk.server_close()
    read, of = reviews.progress
    print(f"{read} of {of} answers have points, in {folder / 'review.csv'}.")
    print(f"labcore grade --merge --out {folder} takes them into the tables and pages.")


@contextmanager
def _leading_to(address: str, folder: Path) -> Iterator[str]:
    """The URI of a file that only we can read: others can read command lines.

    It lies in the grades folder, because packaged browsers have another /tmp.
    """
    handle, name = mkstemp(".html", "review-", folder)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(REDIRECT.format(escape(address)))
        yield Path(name).resolve().as_uri()
    finally:
        Path(name).unlink(missing_ok=True)


class Desk(ThreadingHTTPServer):
    """The server; its address is known to those who started it."""

    daemon_threads = True

    def __init__(self, reviews: Reviews, lab: str, port: int = 0) -> None:
        self.reviews, self.lab = reviews, lab
        self.token = secrets.token_urlsafe(32)
        super().__init__((HERE, port), _Request)
        self.hosts = [f"{name}:{self.server_port}" for name in (HERE, "localhost")]
        self.address = f"http://{self.hosts[0]}/?token={self.token}"

    def handle_error(self, request, client_address) -> None:
        """A browser may break off a request; any other fault is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())

    def page(self, nonce: str) -> str:
        parts = {
            "NONCE": nonce,
            "LAB": self.lab,
            "STYLE": shared("style.css") + shared("review.css"),
            "SCRIPT": shared("review.js"),
        }
        text = shared("review.html")
        for name, part in parts.items():
            text = text.replace(f"[[{name}]]", part)
        return text

    def answer(self, path: str, asked: dict) -> tuple[HTTPStatus, dict]:
        """What the page's script asked for; a fault is told in a sentence."""
        reviews = self.reviews
        calls: dict[str, Callable] = {
            "/state": reviews.state,
            "/answer": reviews.answer,
            "/save": reviews.save,
            "/phrases": reviews.keep_phrases,
            "/look": reviews.look,
        }
        if path not in calls:
            return HTTPStatus.NOT_FOUND, {"fault": "There is no such page."}
        try:
            found = calls[path](**asked) or {}
            status = HTTPStatus.OK
        except Conflict:
            found, status = {}, HTTPStatus.CONFLICT
        except LabError as fault:
            found, status = {"fault": str(fault)}, HTTPStatus.SERVICE_UNAVAILABLE
        except (TypeError, ValueError, AttributeError):
            found, status = {"fault": "Load the page again."}, HTTPStatus.BAD_REQUEST
        return status, found | {"version": reviews.version, "notice": reviews.notice}


class _Request(BaseHTTPRequestHandler):
    server: Desk
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "labcore", ""
    timeout = 60  # seconds for a client that says nothing

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if not self._of_this_page(needs_origin=False):
            self._refuse(ANOTHER)
        elif not self.server.knows(parse_qs(address.query).get("token", [""])[0]):
            self._refuse(NO_TOKEN)
        elif address.path != "/":
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "There is no such page.\n")
        else:
            nonce = secrets.token_urlsafe(16)
            page = self.server.page(nonce)
            self._send(HTTPStatus.OK, "text/html", page, POLICY.format(nonce=nonce))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        token = self.headers.get("Authorization", "").removeprefix("token ")
        if not self._of_this_page(needs_origin=True):
            self._refuse(ANOTHER)
        elif not self.server.knows(token):
            self._refuse(NO_TOKEN)
        elif not (length.isdecimal() and len(length) < 9 and int(length) <= LARGEST):
            self._tell(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"fault": "It is too long."}
            )
        else:
            try:
                asked = json.loads(self.rfile.read(int(length)))
                if not isinstance(asked, dict):
                    raise ValueError
            except (ValueError, RecursionError):
                self._tell(HTTPStatus.BAD_REQUEST, {"fault": "Load the page again."})
                return
            self._tell(*self.server.answer(self.path, asked))

    def _of_this_page(self, needs_origin: bool) -> bool:
        """Whether it asks for this host name and, if it says so, from this page."""
        origin = self.headers.get("Origin")
        origins = [f"http://{host}" for host in self.server.hosts]
        allowed = origin in origins or (origin is None and not needs_origin)
        return self.headers.get("Host") in self.server.hosts and allowed

    def _refuse(self, why: str) -> None:
        self._send(HTTPStatus.FORBIDDEN, "text/plain", why)

    def _tell(self, status: HTTPStatus, content: dict) -> None:
        self._send(status, "application/json", json.dumps(content))

    def _send(self, status: HTTPStatus, kind: str, text: str, policy="") -> None:
        data = text.encode("utf-8", errors="backslashreplace")
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(data)),
            "Content-Security-Policy": policy or "default-src 'none'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        if status is not HTTPStatus.OK and self.command == "POST":
            self.close_connection = True  # its body may be unread
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_) -> None:
        """Nothing: the terminal is for sentences, and addresses hold the token."""
