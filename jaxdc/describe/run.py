"""Describes the clusters of a run, and writes the description to its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxdc import describe as describing
from jaxdc.describe import Cluster, hierarchy
from jaxdc.runs.config import stop_words_of
from jaxdc.runs.result import Result
from jaxdc.runs.samples import samples_of_run
from jaxdc.writing import full_disk_is_an_input_error, write_json


def describe_run(
    result: Result,
    folder: Path,
    *,
    data: str | None = None,
    n_terms: int = 10,
    n_members: int = 5,
    n_sentences: int = 3,
    say: Callable[[str], None] = lambda text: None,
) -> list[Cluster]:
    """Describes the clusters of a run, and writes ``description.json`` to its folder.

    Args:
      result: the run.
      folder: folder of the run.
      data: current path of the samples, if they have moved.
      n_terms: maximum number of terms per cluster.
      n_members: maximum number of central samples, and of doubtful ones, per cluster.
      n_sentences: maximum number of sentences in a summary.
      say: receives messages for the user.

    Raises:
      InputError: the texts are missing, or are not those of the training.
    """
    texts = None if result.fitted is None else samples_of_run(result.config, data, say=say).texts
    clusters = describing.describe(
        result.embeddings,
        result.probabilities,
        sample_names=result.sample_names,
        texts=texts,
        n_terms=n_terms,
        n_members=n_members,
        n_sentences=n_sentences,
        stop_words=stop_words_of(result.config),
        names=result.edits.names,
        removed=result.edits.removed,
    )
    with full_disk_is_an_input_error(folder):
        joins = hierarchy(result.embeddings, result.labels, result.probabilities.shape[1])
        content = {
            "clusters": [cluster.as_dict() for cluster in clusters],
            "hierarchy": [join.as_dict() for join in joins],
        }
        write_json(folder / "description.json", content)
    return clusters
