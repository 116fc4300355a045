"""Synthetic logs with known workspaces, for tests and comparisons.

They contain what makes real logs hard. Workspace sizes follow a power law, and most documents of a workspace are
rarely opened together. A session alternates between two workspaces; some accesses are random; a few
documents, such as a calendar or a template, are opened in any session and belong to no workspace. Texts are about
subjects shared by several workspaces, so they reveal the subject but hardly the workspace; some consist of
only a few words.
"""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxdc.errors import InputError
from jaxdc.workspaces.events import Events

_START = 1_700_000_000.0  # start of the first day
_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "xo", "zu")


class MadeLog(NamedTuple):
    """A log and its ground truth.

    Attributes:
      events: the accesses.
      texts: text of each document, by its number.
      workspaces: workspace number of each document ``[n]``; -1 for those without one.
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
    """Settings for a synthetic log.

    Attributes:
      n_workspaces: number of workspaces.
      least: number of documents in the smallest workspace.
      most: number of documents in the largest workspace.
      exponent: exponent of the power law of their sizes.
      n_users: number of users.
      workspaces_a_user: number of workspaces per user.
      n_sessions: number of sessions per user.
      accesses: mean number of accesses per session.
      minutes: mean number of minutes between two accesses.
      switching: probability that a session switches to its other workspace.
      stray: share of the accesses to a random document.
      shared: share of the accesses to a document without a workspace.
      n_shared: number of documents without a workspace.
      n_subjects: number of subjects, shared by the workspaces.
      words: mean number of words per text; a quarter of the texts have a tenth of it.
      of_workspace: share of the words that are specific to the workspace.
      of_subject: share of the words that are specific to the subject.
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
            raise InputError(f"workspaces can't have {self.least} to {self.most} documents")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.type == "int" and field.name != "n_shared"):
                raise InputError(f"{field.name} of a synthetic log can't be {value}")

    def make(self, seed: int = 0) -> MadeLog:
        """Makes a log; the same seed gives the same log."""
        rng = np.random.default_rng(seed)
        sizes = self._sizes(rng)
        workspaces = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(self.n_shared, -1)])
        # Numbers that do not reveal the workspace, as in a real log.
        workspaces = workspaces[rng.permutation(len(workspaces))]
        rows = self._accesses(rng, workspaces)
        texts = self._texts(rng, workspaces)
        events = Events.of(((f"user{u:03}", f"document{d:05}", t) for u, d, t in rows), "a made log")
        numbers = [int(name.removeprefix("document")) for name in events.names]
        return MadeLog(events, [texts[i] for i in numbers], workspaces[numbers])

    def _sizes(self, rng: np.random.Generator) -> np.ndarray:
        """Draws from a bounded Pareto distribution, by inverting it."""
        a, low, high = self.exponent - 1, float(self.least), self.most + 1.0
        u = rng.random(self.n_workspaces)
        if a == 0:
            return (low * (high / low) ** u).astype(int)
        return ((low**-a - u * (low**-a - high**-a)) ** (-1 / a)).astype(int)

    def _accesses(self, rng: np.random.Generator, workspaces: np.ndarray) -> list[tuple[int, int, float]]:
        members = [np.flatnonzero(workspaces == w) for w in range(self.n_workspaces)]
        # Some documents are central to a workspace, others are opened only occasionally.
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
                # As in natural language, few words are frequent.
                words.append(pool[min(int(rng.pareto(1.0) * len(pool) / 10), len(pool) - 1)])
            texts.append(" ".join(words))
        return texts


def _words(rng: np.random.Generator):
    """An endless supply of distinct words."""
    seen = set()
    while True:
        word = "".join(rng.choice(_SYLLABLES, rng.integers(2, 5)))
        if word not in seen:
            seen.add(word)
            yield word
