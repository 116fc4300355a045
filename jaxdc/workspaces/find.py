"""Finds workspaces from a log and texts.

Kong et al., 2020 ("Learning to Cluster Documents into Workspaces Using Large Scale Activity Logs", KDD 2020):
documents that people use together show what belongs together, without labels. A similarity learned from that (and
from the texts of the documents) is used to cluster them.

Differs from the paper in: the similarity is the cosine of two towers, not a network over features of the pair, so
that nearest neighbours can be searched; co-access is the training target instead of an input feature; documents
have no metadata; workspaces cover all users at once instead of each user; the clustering is a hierarchy of the
neighbour graph, cut where it best predicts held-out sessions. The logs of the paper are not public.
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
      labels: workspace number of each document ``[n]``; 0 is the largest.
      confidence: share of a document's similarity to its neighbours that falls in its own workspace ``[n]``, from
        0 to 1; 0 for a document that is similar to no other.
      figures: statistics of the log, the training and the cut.
    """

    labels: np.ndarray
    confidence: np.ndarray
    figures: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finder:
    """Settings for finding workspaces.

    Attributes:
      gap_minutes: pause of a user that ends a session.
      window_minutes: longest time between two accesses of a session that make a pair.
      similarity: "learned", or one of two baselines: "text", the cosine of tf-idf, or "co-count", how often two
        documents were accessed together.
      n_neighbors: number of neighbours of each document in the graph; "co-count" uses all.
      held_out: share of the sessions used to choose the cut of the hierarchy.
      n_terms: size of the tf-idf vocabulary.
      stop_words: stop words that tf-idf leaves out, "english" or "none".
      towers: settings for learning the similarity.
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
            raise InputError(f"held_out must be above 0 and below 1, but is {self.held_out}")
        TfIdf(n_terms=self.n_terms, stop_words=self.stop_words)  # checks these settings

    def find(
        self,
        events: Events,
        texts: Sequence[str] | None = None,
        *,
        seed: int = 0,
        devices: Any = None,
        say: Callable[[str], None] = silent,
    ) -> Workspaces:
        """Finds the workspaces of the documents in a log.

        Builds a graph from four fifths of the sessions and chooses the cut of its hierarchy that best predicts the
        rest; then builds the graph of all sessions, and cuts it at the same height.

        Args:
          events: the log.
          texts: text of each document, by its number; empty if there is none.
          seed: random seed for the held-out sessions and the training; the same seed gives the same workspaces.
          devices: devices to divide the batches among (default: all).
          say: receives the progress.

        Raises:
          InputError: no two documents are used together, or texts are required but missing.
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
            say("too few sessions to hold some out: the cut is chosen on the training sessions")
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
                raise InputError("similarity text needs the texts of the documents: pass --texts")
            return None
        made = TfIdf(n_terms=self.n_terms, stop_words=self.stop_words).fit(
            [text for text in texts if text.strip()]
        )
        return made.transform(texts).toarray()

    def _held_out(self, sessions: Sessions, seed: int) -> tuple[Pairs, Pairs]:
        """The pairs of most sessions, and those of the held-out sessions."""
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
    """The same clusters, largest first; ties in order of their first document."""
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
