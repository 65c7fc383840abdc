"""Which requests the viewer answers: those of its own page alone."""

import hmac
from email.message import Message
from typing import Final

LOOPBACK: Final = "127.0.0.1"
HEADERS: Final = {
    # Nothing but what this server serves is ever loaded, and no other page may show or read any of it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # The browser keeps no copy on disk.
    "Cache-Control": "no-store",
}


def is_ours(headers: Message, port: int, *, for_page: bool = False) -> bool:
    """Whether a request is addressed to this machine by its own name, and not sent by a page from elsewhere.

    A page from elsewhere can reach a loopback server by a host name of its own (DNS rebinding), which `Host` shows.
    With `for_page`, it may be a link that was followed, as from the file that opens the browser.
    """
    hosts = [f"{name}:{port}" for name in (LOOPBACK, "localhost")]
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site", "none")
    return (
        headers.get("Host") in hosts
        and (origin is None or origin in [f"http://{host}" for host in hosts])
        and (site in ("same-origin", "none") or (for_page and _is_link(headers)))
    )


def _is_link(headers: Message) -> bool:
    """Whether the browser goes to the address, instead of loading something for a page that stays."""
    return headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"


def has_token(headers: Message, token: str) -> bool:
    """Whether a request has the token of the address that the terminal showed."""
    given = headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
