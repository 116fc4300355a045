"""Lines of JSON between processes, of which neither length, time nor content is trusted."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

MOST_BYTES = 2**16  # in a line
LINE_SECONDS = 10.0  # from the first byte of a line to its end
Message = dict[str, Any]


class Lost(Exception):
    """The other side is gone, or sends what no process of this run would."""


class Connection:
    """One end of a connection. Reading never waits: what has come is kept until a line is complete.

    Args:
      peer: the connected socket.
    """

    def __init__(self, peer: socket.socket):
        peer.setblocking(True)
        peer.settimeout(LINE_SECONDS)
        self.peer, self._part, self._since = peer, b"", time.monotonic()
        # A machine that loses power closes nothing, so let the system probe whether it is alive.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def fileno(self) -> int:
        """For ``select``."""
        return self.peer.fileno()

    def send(self, **message: Any) -> None:
        """Sends a line; if the other side is gone, its reader will notice."""
        try:
            self.peer.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return

    def messages(self) -> list[Message]:
        """The lines that are complete now, after ``select`` has found something to read.

        Raises:
          Lost: the connection has ended, a line is too long, or one is no JSON object.
        """
        try:
            came = self.peer.recv(4096)
        except OSError as error:
            raise Lost from error
        if not came:
            raise Lost
        if not self._part:
            self._since = time.monotonic()
        *lines, self._part = (self._part + came).split(b"\n")
        if len(self._part) > MOST_BYTES:
            raise Lost
        return [_parsed(line) for line in lines]

    def is_late(self, now: float) -> bool:
        """Whether a line has been begun, and not ended in time."""
        return bool(self._part) and now - self._since > LINE_SECONDS

    def close(self) -> None:
        """Ends the connection."""
        self.peer.close()


def _parsed(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Lost from error
    if not isinstance(message, dict):
        raise Lost
    return message
