"""Ends the processes of a run together, and reports a lost process at once in one sentence.

Without this, the others would wait in a collective until JAX's service misses a heartbeat and aborts them with
a traceback. Every process keeps a connection to process 0, which the system closes when the process dies.
"""

from __future__ import annotations

import atexit
import os
import secrets
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console
from rich.text import Text

from jaxdc.distributed.lines import Connection, Lost, Message

CONNECT_SECONDS = 10
ANSWER_SECONDS = 5  # how long a failing process waits for process 0 to inform the others
HELLO_SECONDS = 10  # how long a new connection may take to say who it is
MOST_STRANGERS = 64  # connections that have not said who they are
ADDRESS_BYTES = 512

_watch: _Watch | None = None


def begin(coordinator: str | None = None) -> None:
    """Starts the watch, right after the processes have been joined; all of them call it.

    If the connection fails, the run continues without it: JAX also notices a lost process, but later.

    Args:
      coordinator: HOST:PORT of process 0, if it is known; by default process 0 finds out its own.
    """
    global _watch
    if _watch is not None or jax.process_count() < 2:
        return
    _watch = _joined(jax.process_index(), jax.process_count(), coordinator)
    if _watch is not None:
        atexit.register(_watch.part)


def _joined(index: int, n: int, coordinator: str | None) -> _Watch | None:
    server, token, said = None, secrets.token_hex(16), ""
    if index == 0:
        try:
            host = address_of(coordinator)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            server = socket.create_server((host, 0), family=family, backlog=n)
            said = f"{host} {server.getsockname()[1]} {token}"
        except OSError:
            said = ""
    # Every process takes part, also one that will not have a watch.
    said = _from_process_0(said)
    try:
        if not said:
            return None
        host, port, token = said.split()
        if index == 0:
            return _Watch(index, n, token, server=server)
        peer = Connection(socket.create_connection((host, int(port)), CONNECT_SECONDS))
        peer.send(token=token, index=index)
        return _Watch(index, n, token, peer=peer)
    except OSError:
        return None


def address_of(coordinator: str | None) -> str:
    """The address of this machine at which the other processes reach it, so that no other one is opened."""
    host = "" if coordinator is None else coordinator.rpartition(":")[0].strip("[]")
    found = socket.getaddrinfo(host or socket.gethostname(), None, type=socket.SOCK_STREAM)[0][4][0]
    if host or not str(found).startswith(("127.", "::1")):
        return str(found)
    # Some systems give their own name a loopback address: the one of the way out is meant. Nothing is sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("192.0.2.1", 9))
        return out.getsockname()[0]


def _from_process_0(said: str) -> str:
    """What process 0 says, on every process."""
    content = np.frombuffer(said.encode().ljust(ADDRESS_BYTES), np.uint8)
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(content), np.uint8)).decode().strip()


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
        # In one piece, as another thread may be printing.
        console.print(Text.assemble(("error: ", "red"), sentence))
    sys.stdout.flush()
    sys.stderr.flush()
    # Not with an exception: the main thread may be waiting in a collective that never ends.
    os._exit(code)


class _Watch:
    """One process's side of the connections, and the thread that listens to them.

    Args:
      index: index of this process.
      n: number of processes.
      token: secret of this run, which a new connection must know.
      server: where process 0 is reached.
      peer: the connection of another process to process 0.
    """

    def __init__(
        self,
        index: int,
        n: int,
        token: str,
        *,
        server: socket.socket | None = None,
        peer: Connection | None = None,
    ):
        self.index, self.n = index, n
        self.place: Callable[[], str] = lambda: "where it was"
        self._token, self._server = token.encode(), server
        self._peers: dict[Connection, int] = {} if peer is None else {peer: 0}
        self._strangers: dict[Connection, float] = {}  # and when they must have said who they are
        self._parted: set[int] = set()
        threading.Thread(target=self._listen, name="jaxdc-watch", daemon=True).start()

    def part(self) -> None:
        """This process ends normally: ignore its silence from now on."""
        for peer in list(self._peers):
            peer.send(part=True)

    def end_all(self, code: int, sentence: str) -> None:
        if self.index:
            # Process 0 prints it once and informs all others; the other thread will stop this one.
            for peer in list(self._peers):
                peer.send(end=code, sentence=sentence)
            time.sleep(ANSWER_SECONDS)
        self._end(code, sentence)

    def _end(self, code: int, sentence: str | None) -> None:
        for peer in list(self._peers):
            peer.send(end=code)
        end_this(code, sentence)

    def _lost(self, index: int) -> None:
        self._end(
            1,
            f"process {index} of {self.n} was lost: it was killed, ran out of memory, or its machine failed; "
            f"run the same command on every host to resume from {self.place()}",
        )

    def _listen(self) -> None:
        while True:
            self._listen_once()

    def _listen_once(self, seconds: float = 1.0) -> None:
        """Handles what has come, whatever it is: strangers must not keep a lost process from being noticed."""
        sources = [*self._peers, *self._strangers, *([self._server] if self._server else [])]
        for source in select.select(sources, [], [], seconds)[0]:
            if source is self._server:
                self._accept()
            elif source in self._peers:
                self._hear(source)
            elif source in self._strangers:
                self._meet(source)
        now = time.monotonic()
        for stranger in [one for one, until in self._strangers.items() if now > until]:
            self._dismiss(stranger)
        for peer in [one for one in self._peers if one.is_late(now)]:
            self._leave(peer)

    def _accept(self) -> None:
        assert self._server is not None
        try:
            stranger = Connection(self._server.accept()[0])
        except OSError:
            return  # it is gone again
        self._strangers[stranger] = time.monotonic() + HELLO_SECONDS
        if len(self._strangers) > MOST_STRANGERS:
            self._dismiss(next(iter(self._strangers)))

    def _meet(self, stranger: Connection) -> None:
        """Makes a peer of a connection that knows the token; ends any other."""
        try:
            messages = stranger.messages()
        except Lost:
            self._dismiss(stranger)
            return
        if not messages:
            return  # not a whole line yet
        hello, *more = messages
        token, index = hello.get("token"), hello.get("index")
        known = isinstance(token, str) and secrets.compare_digest(token.encode(errors="replace"), self._token)
        if not known or not isinstance(index, int) or not 0 < index < self.n:
            self._dismiss(stranger)
            return
        del self._strangers[stranger]
        self._peers[stranger] = index
        for message in more:
            self._obey(message, index)

    def _dismiss(self, stranger: Connection) -> None:
        del self._strangers[stranger]
        stranger.close()

    def _hear(self, peer: Connection) -> None:
        try:
            messages = peer.messages()
        except Lost:
            self._leave(peer)
            return
        for message in messages:
            self._obey(message, self._peers[peer])

    def _leave(self, peer: Connection) -> None:
        index = self._peers.pop(peer)
        peer.close()
        if index not in self._parted:
            self._lost(index)

    def _obey(self, message: Message, index: int) -> None:
        if "part" in message:
            self._parted.add(index)
        elif "end" in message:
            code, sentence = message["end"], message.get("sentence")
            self._end(
                code if isinstance(code, int) else 1,
                None if sentence is None else f"{sentence} (reported by process {index})",
            )
