"""Ends the processes of a run together, and reports a lost process at once in one sentence.

Without this, the others would wait in a collective until JAX's service misses a heartbeat and aborts them with
a traceback. Every process keeps a connection to process 0, which the system closes when the process dies.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from rich.console import Console

KEY = "jaxdc/watch"
CONNECT_SECONDS = 10
ANSWER_SECONDS = 5  # how long a failing process waits for process 0 to inform the others

_watch: _Watch | None = None


def begin() -> None:
    """Starts the watch, right after the processes have been joined.

    If the connection fails, the run continues without it: JAX also notices a lost process, but later.
    """
    global _watch
    from jax._src import distributed  # JAX has no public API for the service that its processes share

    state = distributed.global_state
    if _watch is not None or state.num_processes < 2 or state.client is None:
        return
    try:
        _watch = _Watch(state.process_id, state.num_processes, state.coordinator_address or "", state.client)
    except (OSError, RuntimeError):
        return
    atexit.register(_watch.part)


def advise(place: Callable[[], str]) -> None:
    """Sets the function that names the point from which the run can be resumed."""
    if _watch is not None:
        _watch.place = place


def end_all(code: int, sentence: str) -> None:
    """Ends every process of this run with a code and one sentence; returns if this process is alone."""
    if _watch is not None:
        _watch.end_all(code, sentence)


def fail_all(error: Exception) -> None:
    """Ends every process of this run because of an unexpected error, after its traceback."""
    if _watch is None:
        return
    time.sleep(1)  # if a lost process broke a collective, the listener will report it in a moment
    traceback.print_exception(error)
    reason = str(error).strip().partition("\n")[0]
    _watch.end_all(1, f"process {_watch.index} of {_watch.n} failed: {type(error).__name__}: {reason}")


def end_this(code: int, sentence: str | None) -> NoReturn:
    """Ends this process at once, from any thread."""
    if sentence is not None:
        console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
        console.show_cursor(True)
        console.print("error: ", style="red", end="")
        console.print(sentence)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not with an exception: the main thread may be waiting in a collective that never ends.
    os._exit(code)


class _Watch:
    """One process's side of the connections, and the thread that listens to them."""

    def __init__(self, index: int, n: int, coordinator: str, client: Any):
        self.index, self.n = index, n
        self.place: Callable[[], str] = lambda: "where it was"
        self._peers: dict[socket.socket, int] = {}
        self._parted: set[int] = set()
        self._server: socket.socket | None = None
        if index == 0:
            self._token = secrets.token_hex(16)
            family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
            dual = family == socket.AF_INET6
            self._server = socket.create_server(("", 0), family=family, backlog=n, dualstack_ipv6=dual)
            client.key_value_set(KEY, f"{self._server.getsockname()[1]} {self._token}")
        else:
            port, token = client.blocking_key_value_get(KEY, CONNECT_SECONDS * 1000).split()
            host = coordinator.rpartition(":")[0].strip("[]")
            peer = socket.create_connection((host, int(port)), CONNECT_SECONDS)
            self._add(peer, 0)
            _send(peer, token=token, index=index)
        threading.Thread(target=self._listen, name="jaxdc-watch", daemon=True).start()

    def part(self) -> None:
        """This process ends normally: ignore its silence from now on."""
        for peer in list(self._peers):
            _send(peer, part=True)

    def end_all(self, code: int, sentence: str) -> None:
        if self.index:
            # Process 0 prints it once and informs all others; the other thread will stop this one.
            for peer in list(self._peers):
                _send(peer, end=code, sentence=sentence)
            time.sleep(ANSWER_SECONDS)
        self._end(code, sentence)

    def _end(self, code: int, sentence: str | None) -> None:
        for peer in list(self._peers):
            _send(peer, end=code)
        end_this(code, sentence)

    def _lost(self, index: int) -> None:
        self._end(
            1,
            f"process {index} of {self.n} was lost: it was killed, ran out of memory, or its machine failed; "
            f"run the same command on every host to resume from {self.place()}",
        )

    def _listen(self) -> None:
        while True:
            sources = [*self._peers, *([self._server] if self._server else [])]
            for source in select.select(sources, [], [])[0]:
                if source is self._server:
                    self._accept()
                else:
                    self._hear(source)

    def _accept(self) -> None:
        assert self._server is not None
        peer, _ = self._server.accept()
        peer.settimeout(CONNECT_SECONDS)
        message = _receive(peer)
        if message and secrets.compare_digest(str(message.get("token")), self._token):
            self._add(peer, int(message["index"]))
        else:
            peer.close()  # not a process of this run

    def _hear(self, peer: socket.socket) -> None:
        message, index = _receive(peer), self._peers[peer]
        if message is None:
            del self._peers[peer]
            if index not in self._parted:
                self._lost(index)
        elif "part" in message:
            self._parted.add(index)
        elif "end" in message:
            sentence = message.get("sentence")
            self._end(message["end"], None if sentence is None else f"{sentence} (reported by process {index})")

    def _add(self, peer: socket.socket, index: int) -> None:
        # A machine that loses power closes nothing, so let the system probe whether it is alive.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        peer.settimeout(CONNECT_SECONDS)
        self._peers[peer] = index


def _send(peer: socket.socket, **message: Any) -> None:
    try:
        peer.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        return  # it is gone, which its listener notices


def _receive(peer: socket.socket) -> dict[str, Any] | None:
    """The next line, or None at the end of the connection."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            part = peer.recv(1)
            if not part:
                return None
            line += part
        return json.loads(line)
    except (OSError, ValueError):
        return None
