"""Describing a run: what its clusters are about is found, and written into its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxdc import describe as describing
from jaxdc.describe import Cluster
from jaxdc.runs import runfolder
from jaxdc.runs.config import stop_words_of
from jaxdc.runs.result import Result
from jaxdc.runs.samples import samples_of_run


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
    """Describes the clusters of a run, and writes ``description.json`` into its folder.

    Args:
      result: the run.
      folder: its folder.
      data: where its samples are now, if not where they were.
      n_terms: at most so many terms a cluster.
      n_members: at most so many central and so many doubtful samples a cluster.
      n_sentences: at most so many in a summary.
      say: told what a person should know.

    Raises:
      InputError: the texts are gone, or are not those of the training.
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
    )
    with runfolder.full_disk_is_an_input_error(folder):
        content = {"clusters": [cluster.as_dict() for cluster in clusters]}
        runfolder.write_json(folder / "description.json", content)
    return clusters
