"""Splits accesses into sessions of work, and sessions into pairs of documents that are used together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxdc.errors import InputError
from jaxdc.workspaces.events import Events

MOST_AHEAD = 50  # accesses that one may be paired with: nobody works on a thousand files opened at once


class Sessions(NamedTuple):
    """Accesses sorted by user and time, split where a user paused.

    Attributes:
      numbers: session number of each access ``[e]``, from 0, ascending.
      documents: document of each access ``[e]``.
      times: seconds of each access ``[e]``.
      n: number of sessions.
    """

    numbers: np.ndarray
    documents: np.ndarray
    times: np.ndarray
    n: int

    def only(self, chosen: np.ndarray) -> Sessions:
        """The accesses of the sessions in the mask ``chosen [n]``, with unchanged session numbers."""
        kept = chosen[self.numbers]
        return Sessions(self.numbers[kept], self.documents[kept], self.times[kept], self.n)


class Pairs(NamedTuple):
    """Documents that were accessed together; each pair once, the lower number first.

    Attributes:
      first: first document of each pair ``[p]``, int32.
      second: second document ``[p]``, int32.
      weights: weight of each pair ``[p]``, float64: each session with both adds from 1/2 (a window apart) to 1 (at
        once).
      sessions: number of these sessions ``[p]``.
    """

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray
    sessions: np.ndarray


def split_sessions(events: Events, *, gap_minutes: float = 30.0) -> Sessions:
    """Splits the accesses of each user wherever more than ``gap_minutes`` pass between two of them.

    Raises:
      InputError: ``gap_minutes`` is not positive.
    """
    if not gap_minutes > 0:
        raise InputError(f"gap_minutes must be above 0, but is {gap_minutes}")
    order = np.lexsort((events.documents, events.times, events.users))
    users, times = events.users[order], events.times[order]
    cut = (users[1:] != users[:-1]) | (np.diff(times) > 60 * gap_minutes)
    numbers = np.concatenate([[0], np.cumsum(cut)]).astype(np.int64)
    return Sessions(numbers, events.documents[order], times, int(numbers[-1]) + 1)


def co_access_pairs(sessions: Sessions, *, window_minutes: float = 10.0) -> Pairs:
    """Pairs of documents that were accessed within ``window_minutes`` of each other in one session.

    A session counts once for a pair, by the two accesses nearest in time. The further apart they are, the less
    they count, because a session may move from one task to another. An access is paired with at most the 50 after
    it.

    Raises:
      InputError: ``window_minutes`` is not positive.
    """
    if not window_minutes > 0:
        raise InputError(f"window_minutes must be above 0, but is {window_minutes}")
    window, found = 60 * window_minutes, []
    for ahead in range(1, min(MOST_AHEAD, len(sessions.times) - 1) + 1):
        apart = sessions.times[ahead:] - sessions.times[:-ahead]
        near = (sessions.numbers[ahead:] == sessions.numbers[:-ahead]) & (apart <= window)
        if not near.any():
            break  # accesses further ahead are further apart in time
        one, other = sessions.documents[:-ahead][near], sessions.documents[ahead:][near]
        rows = np.stack([sessions.numbers[:-ahead][near], np.minimum(one, other), np.maximum(one, other)])
        found.append((rows[:, one != other], apart[near][one != other]))
    if not found:
        empty = np.zeros(0, np.int32)
        return Pairs(empty, empty, np.zeros(0), np.zeros(0, np.int64))
    rows = np.concatenate([rows for rows, _ in found], axis=1)
    apart = np.concatenate([apart for _, apart in found])
    order = np.lexsort((apart, *rows[::-1]))
    rows, apart = rows[:, order], apart[order]
    nearest = np.ones(rows.shape[1], bool)  # among a session's accesses to the same two documents
    nearest[1:] = (rows[:, 1:] != rows[:, :-1]).any(axis=0)
    rows, weights = rows[1:, nearest], 1 - apart[nearest] / (2 * window)
    pairs, place, counts = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
    total = np.bincount(place.reshape(-1), weights, minlength=pairs.shape[1])
    return Pairs(pairs[0].astype(np.int32), pairs[1].astype(np.int32), total, counts)


def check_pairs(events: Events, pairs: Pairs, window_minutes: float) -> None:
    """Raises InputError if no two documents are used together."""
    if len(pairs.first):
        return
    if len(events.names) == 1:
        raise InputError(f"{events.name} has only one document: there is nothing to cluster")
    documents = np.unique(np.stack([events.users, events.documents]), axis=1)
    if np.bincount(documents[0]).max() == 1:
        raise InputError(
            f"in {events.name} each user accesses only one document, so that no two are accessed together; "
            "workspaces are found from what a user accesses in one session"
        )
    raise InputError(
        f"in {events.name} no user accesses two documents within {window_minutes:g} minutes; "
        "try a larger --window-minutes (and --gap-minutes)"
    )
