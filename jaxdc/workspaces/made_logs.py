"""Logs that are made up, whose workspaces are known: for tests, and to compare what finds them.

What makes real logs hard is in them. Workspaces have sizes by a power law, and most of their documents are
rarely opened together. A session goes back and forth between two workspaces; some accesses are strays; a few
documents, such as a calendar or a template, are opened in any session and belong nowhere. Texts speak of subjects
that several workspaces have in common, so that they tell the subject and hardly the workspace; some are no more
than a few words.
"""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxdc.errors import InputError
from jaxdc.workspaces.events import Events

_START = 1_700_000_000.0  # of the first day
_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "xo", "zu")


class MadeLog(NamedTuple):
    """A log and what is true of it.

    Attributes:
      events: the accesses.
      texts: of each document, by its number.
      workspaces: number of the workspace of each document ``[n]``; -1 of those that are of none.
    """

    events: Events
    texts: list[str]
    workspaces: np.ndarray

    def write(self, folder: Path) -> None:
        """Writes ``log.csv`` (user, document, time) and ``documents.csv`` (document, text, workspace)."""
        events = self.events
        rows = zip(events.users.tolist(), events.documents.tolist(), events.times.tolist(), strict=True)
        names = list(events.names)
        with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [("user", "document", "time"), *((f"user{u:03}", names[d], f"{t:.0f}") for u, d, t in rows)]
            )
        known = ["" if w < 0 else f"workspace{w:03}" for w in self.workspaces.tolist()]
        with (folder / "documents.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [("document", "text", "workspace"), *zip(names, self.texts, known, strict=True)]
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMaker:
    """How a log is made.

    Attributes:
      n_workspaces: how many there are.
      least: documents of the smallest workspace.
      most: of the largest.
      exponent: of the power law of their sizes.
      n_users: how many people there are.
      workspaces_a_user: that each works in.
      n_sessions: of each user.
      accesses: of a session, on average.
      minutes: from one access to the next, on average.
      switching: how often a session goes over to its other workspace.
      stray: share of the accesses that are of any document.
      shared: share of the accesses that are of a document of no workspace.
      n_shared: documents of no workspace.
      n_subjects: that the workspaces share among them.
      words: of a text, on average; a quarter of the texts have a tenth of them.
      of_workspace: share of the words that are the workspace's own.
      of_subject: share of the words that are the subject's.
    """

    n_workspaces: int = 40
    least: int = 4
    most: int = 80
    exponent: float = 1.5
    n_users: int = 60
    workspaces_a_user: int = 4
    n_sessions: int = 20
    accesses: float = 6.0
    minutes: float = 3.0
    switching: float = 0.25
    stray: float = 0.1
    shared: float = 0.15
    n_shared: int = 12
    n_subjects: int = 8
    words: float = 40.0
    of_workspace: float = 0.04
    of_subject: float = 0.4

    def __post_init__(self):
        if not 2 <= self.least <= self.most:
            raise InputError(f"workspaces of {self.least} to {self.most} documents can't be made")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.type == "int" and field.name != "n_shared"):
                raise InputError(f"{field.name} of a made log can't be {value}")

    def make(self, seed: int = 0) -> MadeLog:
        """A log; the same seed makes the same."""
        rng = np.random.default_rng(seed)
        sizes = self._sizes(rng)
        workspaces = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(self.n_shared, -1)])
        # Numbers that say nothing of the workspace, as in a real log.
        workspaces = workspaces[rng.permutation(len(workspaces))]
        rows = self._accesses(rng, workspaces)
        texts = self._texts(rng, workspaces)
        events = Events.of(((f"user{u:03}", f"document{d:05}", t) for u, d, t in rows), "a made log")
        numbers = [int(name.removeprefix("document")) for name in events.names]
        return MadeLog(events, [texts[i] for i in numbers], workspaces[numbers])

    def _sizes(self, rng: np.random.Generator) -> np.ndarray:
        """A bounded Pareto distribution, by its inverse."""
        a, low, high = self.exponent - 1, float(self.least), self.most + 1.0
        u = rng.random(self.n_workspaces)
        if a == 0:
            return (low * (high / low) ** u).astype(int)
        return ((low**-a - u * (low**-a - high**-a)) ** (-1 / a)).astype(int)

    def _accesses(self, rng: np.random.Generator, workspaces: np.ndarray) -> list[tuple[int, int, float]]:
        members = [np.flatnonzero(workspaces == w) for w in range(self.n_workspaces)]
        # Some documents of a workspace are at its heart, others are opened once in a while.
        liked = [rng.permutation(1 / np.arange(1, len(one) + 1) ** 0.5) for one in members]
        liked = [weights / weights.sum() for weights in liked]
        common = np.flatnonzero(workspaces < 0)
        share = np.sqrt([len(one) for one in members])
        rows = []
        for user in range(self.n_users):
            mine = rng.choice(
                self.n_workspaces,
                min(self.workspaces_a_user, self.n_workspaces),
                replace=False,
                p=share / share.sum(),
            )
            days = np.sort(rng.integers(3 * self.n_sessions, size=self.n_sessions))
            for day in days:
                at = _START + 86400.0 * day + rng.uniform(8, 18) * 3600
                now, other = rng.choice(mine, 2, replace=len(mine) < 2)
                for _ in range(1 + rng.poisson(self.accesses - 1)):
                    at += rng.exponential(60 * self.minutes)
                    if rng.random() < self.switching:
                        now, other = other, now
                    kind = rng.random()
                    if kind < self.stray:
                        document = rng.integers(len(workspaces))
                    elif kind < self.stray + self.shared and len(common):
                        document = rng.choice(common)
                    else:
                        document = rng.choice(members[now], p=liked[now])
                    rows.append((user, int(document), float(round(at))))
        rows.sort(key=lambda row: row[2])
        return rows

    def _texts(self, rng: np.random.Generator, workspaces: np.ndarray) -> list[str]:
        vocabulary = iter(_words(rng))
        general, own = [next(vocabulary) for _ in range(300)], {}
        subjects = [[next(vocabulary) for _ in range(60)] for _ in range(self.n_subjects)]
        subject_of = rng.integers(self.n_subjects, size=self.n_workspaces)
        texts = []
        for workspace in workspaces.tolist():
            n = 1 + rng.poisson(self.words * (0.1 if rng.random() < 0.25 else 1.0))
            kind = rng.random(n)
            words = []
            for k in kind:
                if workspace >= 0 and k < self.of_workspace:
                    pool = own.setdefault(workspace, [next(vocabulary) for _ in range(4)])
                elif workspace >= 0 and k < self.of_workspace + self.of_subject:
                    pool = subjects[subject_of[workspace]]
                else:
                    pool = general
                # As in a language, few words are frequent.
                words.append(pool[min(int(rng.pareto(1.0) * len(pool) / 10), len(pool) - 1)])
            texts.append(" ".join(words))
        return texts


def _words(rng: np.random.Generator):
    """Words without end, each once."""
    seen = set()
    while True:
        word = "".join(rng.choice(_SYLLABLES, rng.integers(2, 5)))
        if word not in seen:
            seen.add(word)
            yield word
