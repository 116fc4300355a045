"""Stopping a run on Ctrl-C or SIGTERM: with a checkpoint if that takes a moment, else from the last one."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

GRACE_SECONDS = 8.0  # how long the run may take until it asks whether it should stop


class StopSignals:
    """Makes the first Ctrl-C or SIGTERM request a checkpoint; a second one exits at once.

    A handler in Python waits while the main thread is in one long computation, such as the refresh of a large
    data set. So a thread of its own learns of the signal from the system, and ends the process if the run doesn't
    notice in time.

    Args:
      end: ends the process, from any thread.
      grace_seconds: how long the run has to notice.
    """

    def __init__(self, end: Callable[[], None], grace_seconds: float = GRACE_SECONDS):
        self._end, self._grace, self._asked = end, grace_seconds, False
        self._noticed = threading.Event()

    def __enter__(self) -> StopSignals:
        self._ears, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        self._listener = threading.Thread(target=self._listen, name="jaxdc-stop", daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._noticed.set()
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before)
        self._mouth.close()  # ends the listener
        self._listener.join()
        self._ears.close()

    def requested(self) -> bool:
        """Whether a stop was requested. Whoever asks will stop, and takes the time that it needs."""
        if self._asked:
            self._noticed.set()
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def _listen(self) -> None:
        stops = {int(number) for number in self._old}
        while heard := self._ears.recv(1):
            if heard[0] not in stops:
                continue
            self._ears.settimeout(self._grace)
            try:
                # Until the run notices and leaves, or somebody insists.
                while (heard := self._ears.recv(1)) and heard[0] not in stops:
                    pass
            except TimeoutError:
                heard = b"late"
            self._ears.settimeout(None)
            if heard and not self._noticed.is_set():
                self._end()


def end_process(code: int) -> None:
    """Ends this process at once, although a thread of it may be computing."""
    os._exit(code)
