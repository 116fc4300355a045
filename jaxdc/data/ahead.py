"""Reading ahead: the next batches are read while the training step has this one."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxdc.data.sources import Block

BATCHES_AHEAD = 2  # so that the last images of a batch don't leave cores idle


def read_ahead(rows: Iterator[np.ndarray], load: Callable[[np.ndarray], np.ndarray]) -> Iterator[Block]:
    """The samples of one batch of rows after another, of which up to ``BATCHES_AHEAD`` are loaded at once.

    Args:
      rows: the rows of each batch ``[b]``.
      load: reads the samples ``[b, ...]`` of such rows; called by several threads.
    """
    with ThreadPoolExecutor(BATCHES_AHEAD) as pool:
        waiting: collections.deque = collections.deque()
        try:
            for part in rows:
                waiting.append((part, pool.submit(load, part)))
                if len(waiting) > BATCHES_AHEAD:
                    part, samples = waiting.popleft()
                    yield samples.result(), part
            while waiting:
                part, samples = waiting.popleft()
                yield samples.result(), part
        finally:  # nobody wants the rest, if the loop is left before its end
            for _, samples in waiting:
                samples.cancel()


def n_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """The rows in pieces of at most ``size``."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]
