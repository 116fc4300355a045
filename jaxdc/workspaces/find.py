"""From a log, and texts, to workspaces.

Kong et al., 2020 ("Learning to Cluster Documents into Workspaces Using Large Scale Activity Logs", KDD 2020):
documents that people use together tell what belongs together, without labels, and a similarity that is learnt from
that (and from what the documents say) is what they are clustered by.

Differs from the paper in: the similarity is the cosine of two towers, not a network over features of the pair, so
that nearest neighbours can be searched; co-access is what it learns, and no feature that it is given; there is no
metadata of documents; workspaces are those of all users at once, not of each; the clustering is a hierarchy of the
neighbour graph, cut where sessions that were held out are best foretold. The logs of the paper are not public.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from jaxdc.data.text import TfIdf
from jaxdc.data.text.progress import Progress
from jaxdc.data.text.vectorizer import silent
from jaxdc.errors import InputError
from jaxdc.workspaces.events import Events
from jaxdc.workspaces.graph import Graph, co_access_graph, cosine_graph, learned_graph
from jaxdc.workspaces.hierarchy import best_cut, paris
from jaxdc.workspaces.sessions import Pairs, Sessions, check_pairs, co_access_pairs, split_sessions
from jaxdc.workspaces.towers import Towers

Similarity = Literal["learned", "text", "co-count"]


class Workspaces(NamedTuple):
    """A workspace for each document of a log.

    Attributes:
      labels: number of the workspace ``[n]``; 0 is the largest.
      confidence: how much of a document's likeness to its neighbours is to those in its workspace ``[n]``, from 0
        to 1; 0 for a document that is like no other.
      figures: numbers about the log, the training and the cut.
    """

    labels: np.ndarray
    confidence: np.ndarray
    figures: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finder:
    """How workspaces are found.

    Attributes:
      gap_minutes: a longer pause of a user ends a session.
      window_minutes: how far apart two accesses of a session may be that make a pair.
      similarity: "learned"; or, to compare with, "text", the cosine of tf-idf, or "co-count", how often two
        documents were accessed together.
      n_neighbors: of each document, in the graph; "co-count" takes all.
      held_out: share of the sessions that choose where the hierarchy is cut.
      n_terms: of tf-idf, the most frequent words that are counted.
      stop_words: of tf-idf, "english" or "none".
      towers: how the similarity is learnt.
    """

    gap_minutes: float = 30.0
    window_minutes: float = 10.0
    similarity: str = "learned"
    n_neighbors: int = 10
    held_out: float = 0.2
    n_terms: int = 2000
    stop_words: str = "english"
    towers: Towers = Towers()  # noqa: RUF009 - frozen

    def __post_init__(self):
        if self.similarity not in get_args(Similarity):
            raise InputError(
                f"similarity must be one of {', '.join(get_args(Similarity))}, not {self.similarity!r}"
            )
        if self.n_neighbors < 1:
            raise InputError(f"n_neighbors must be at least 1, but is {self.n_neighbors}")
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out must be within 0 and 1, but is {self.held_out}")
        TfIdf(n_terms=self.n_terms, stop_words=self.stop_words)  # has its own sentences

    def find(
        self,
        events: Events,
        texts: Sequence[str] | None = None,
        *,
        seed: int = 0,
        devices: Any = None,
        say: Callable[[str], None] = silent,
    ) -> Workspaces:
        """Finds the workspaces of the documents of a log.

        A graph is made of four fifths of the sessions and its hierarchy cut where the others are best foretold;
        then one of all sessions, which is cut at the same height.

        Args:
          events: the log.
          texts: of each document, by its number; empty where there is none.
          seed: of everything random; the same seed finds the same.
          devices: among which the batches of the training are divided; by default all.
          say: told how far it has come.

        Raises:
          InputError: no two documents are used together, or there is no text where one is needed.
        """
        if texts is not None and len(texts) != len(events.names):
            raise InputError(
                f"there are {len(texts)} texts for the {len(events.names)} documents of {events.name}"
            )
        sessions = split_sessions(events, gap_minutes=self.gap_minutes)
        pairs = co_access_pairs(sessions, window_minutes=self.window_minutes)
        check_pairs(events, pairs, self.window_minutes)
        x = None if self.similarity == "co-count" else self._tfidf(texts)
        kept, asked = self._held_out(sessions, seed)
        if not len(kept.first) or not len(asked.first):
            say("too few sessions to hold some out: where workspaces end is chosen on those that are there")
            kept = asked = pairs
        n, n_steps = len(events.names), 0
        if self.similarity == "learned":
            n_steps = self.towers.n_steps(kept) + self.towers.n_steps(pairs)
        with Progress("learning what goes together", n_steps, say if n_steps else silent) as progress:
            told = {"seed": seed, "devices": devices, "progress": progress}
            first, _ = self._graph(kept, n, x, **told)
            cut = best_cut(paris(first), asked)
            graph, losses = self._graph(pairs, n, x, **told)
        whole = paris(graph)
        labels = _by_size(whole.labels(whole.n_joins(cut.height)))
        sizes = np.bincount(labels)
        figures = {
            "n_events": len(events.times),
            "n_users": len(np.unique(events.users)),
            "n_documents": n,
            "n_sessions": sessions.n,
            "n_pairs": len(pairs.first),
            "n_workspaces": int(np.sum(sizes > 1)),
            "n_alone": int(np.sum(sizes == 1)),
            "held_out_nats": cut.score,
            "loss": None if losses is None else float(losses[-1]),
        }
        return Workspaces(labels, _confidence(graph, labels), figures)

    def _tfidf(self, texts: Sequence[str] | None) -> np.ndarray | None:
        if texts is None:
            if self.similarity == "text":
                raise InputError("similarity text needs the texts of the documents, --texts")
            return None
        made = TfIdf(n_terms=self.n_terms, stop_words=self.stop_words).fit(
            [text for text in texts if text.strip()]
        )
        return made.transform(texts).toarray()

    def _held_out(self, sessions: Sessions, seed: int) -> tuple[Pairs, Pairs]:
        """The pairs of most sessions, and those of the others."""
        held = np.random.default_rng(seed).random(sessions.n) < self.held_out
        kept, asked = (
            co_access_pairs(sessions.only(chosen), window_minutes=self.window_minutes) for chosen in (~held, held)
        )
        return kept, asked

    def _graph(self, pairs: Pairs, n: int, x: np.ndarray | None, **told: Any) -> tuple[Graph, np.ndarray | None]:
        if self.similarity == "co-count":
            return co_access_graph(pairs, n), None
        if self.similarity == "text" and x is not None:
            return cosine_graph(x, self.n_neighbors), None
        trained = self.towers.train(pairs, n, x, **told)
        return learned_graph(trained.vectors, self.n_neighbors, self.towers.temperature), trained.losses


def _by_size(labels: np.ndarray) -> np.ndarray:
    """The same clusters, the largest first; of equally large ones that of the first document."""
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int32)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return rank[inverse]


def _confidence(graph: Graph, labels: np.ndarray) -> np.ndarray:
    def at_each(weights):
        return np.bincount(graph.first, weights, graph.n) + np.bincount(graph.second, weights, graph.n)

    every = at_each(graph.weights)
    inside = at_each(graph.weights * (labels[graph.first] == labels[graph.second]))
    return np.divide(inside, every, out=np.zeros(graph.n), where=every > 0)
