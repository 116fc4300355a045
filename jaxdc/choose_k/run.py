"""Scores each number of clusters and writes the results to a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from jaxdc import runs
from jaxdc.choose_k.page import page
from jaxdc.choose_k.scores import Choice, KScores, choose, k_scores
from jaxdc.data import Source, StandardizedSource
from jaxdc.data.text.progress import Progress
from jaxdc.data.text.vectorizer import silent
from jaxdc.errors import InputError
from jaxdc.methods import AE
from jaxdc.methods.base import Schedule
from jaxdc.writing import full_disk_is_an_input_error, replacing, write_json

SMALL = 256  # samples, the batch of an autoencoder
Embedding = Literal["autoencoder", "input"]


def embedding_of(
    source: Source,
    embedding: str = "autoencoder",
    *,
    init_from: Path | None = None,
    workdir: Path | None = None,
    seed: int = 0,
    epochs: float | None = None,
    fresh: bool = False,
    standardize: bool = False,
    progress: bool = False,
) -> np.ndarray:
    """Features ``[n, d]`` in which the numbers of clusters are compared.

    Args:
      source: the samples.
      embedding: "autoencoder", which is trained for it, or "input", the samples as they are.
      init_from: a finished run, whose features are taken instead.
      workdir: run folder of the autoencoder.
      seed: random seed of the autoencoder.
      epochs: passes over the data for its training; defaults to its recipe's.
      fresh: train it anew.
      standardize: bring the columns of a table to mean 0 and variance 1.
      progress: tell of it.

    Raises:
      InputError: the samples do not fit the run, or there is no such embedding.
    """
    if embedding not in get_args(Embedding):
        raise InputError(f"embedding must be one of {', '.join(get_args(Embedding))}, not {embedding!r}")
    if init_from is not None:
        run = runs.load(init_from)
        return np.concatenate([part.embeddings for part in run.predict_source(source)])
    if embedding == "autoencoder":
        settings: dict[str, Any] = {"seed": seed, "fresh": fresh, "standardize": standardize, "progress": progress}
        # A batch must not be larger than the set.
        batch_size = 2 ** int(np.log2(source.n_samples)) if source.n_samples < SMALL else None
        settings["schedule"] = Schedule(epochs=epochs, batch_size=batch_size)
        return runs.fit(AE(n_clusters=2), source, workdir=workdir, **settings).embeddings
    if source.array is None:
        raise InputError(f"{source.name} is streamed, so it is not compared as it is: raise --resident-gib")
    if standardize or source.views is not None:
        source = StandardizedSource.of(source)
    assert source.array is not None
    return np.asarray(source.array, np.float32).reshape(source.n_samples, -1)


def choose_k(
    z: np.ndarray,
    ks: Sequence[int],
    *,
    n_divisions: int = 5,
    seed: int = 0,
    say: Callable[[str], None] = silent,
) -> tuple[Choice, KScores]:
    """Scores each number of clusters on halves of the samples, and recommends one.

    Args:
      z: features ``[n, d]``.
      ks: numbers of clusters to choose among.
      n_divisions: number of divisions of the samples into halves.
      seed: random seed.
      say: told how far it has come.

    Raises:
      InputError: a number of clusters is below 2 or too large for the samples, or these are all alike.

    Example:
      >>> import jaxdc.choose_k, sklearn.datasets
      >>> x, _ = sklearn.datasets.make_blobs(400, centers=4, cluster_std=0.4, random_state=3)
      >>> choice, scores = jaxdc.choose_k.choose_k(x, range(2, 9))
      >>> choice.k
      4
    """
    with Progress("comparing numbers of clusters", n_divisions * len(ks), say) as progress:
        scores = k_scores(z, ks, n_divisions=n_divisions, seed=seed, advance=progress.advance)
    return choose(scores), scores


def write(folder: Path, choice: Choice, scores: KScores, about: dict[str, Any]) -> dict[str, Any]:
    """Writes ``choose_k.json`` and ``choose_k.html``; returns the JSON content."""
    content = {
        "k": choice.k,
        "as_good": list(choice.as_good),
        **about,
        "scores": [
            {
                "k": int(k),
                "silhouette": _mean_and_std(scores.silhouette[:, j]),
                "davies_bouldin": _mean_and_std(scores.davies_bouldin[:, j]),
                "stability": _mean_and_std(scores.stability[:, j]),
            }
            for j, k in enumerate(scores.ks)
        ],
    }
    with full_disk_is_an_input_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "choose_k.json", content)
        with replacing(folder / "choose_k.html") as file:
            file.write(page(content))
    return content


def _mean_and_std(values: np.ndarray) -> list[float | None]:
    found = [float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0]
    return [value if np.isfinite(value) else None for value in found]


def run(
    source: Source,
    folder: Path,
    ks: Sequence[int],
    *,
    embedding: str = "autoencoder",
    init_from: Path | None = None,
    seed: int = 0,
    epochs: float | None = None,
    fresh: bool = False,
    standardize: bool = False,
    say: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """Computes features and scores, and writes ``choose_k.json`` and a page; returns the JSON content.

    The folder's ``autoencoder`` is a run folder of its own: a killed run goes on, and a second one with other
    numbers of clusters does not train again.
    """
    began, mine = time.perf_counter(), folder / "choose_k.json"
    if folder.exists() and any(folder.iterdir()) and not (mine.exists() or (folder / "autoencoder").exists()):
        raise InputError(f"{folder} holds something else; choose another --workdir")
    _check_range(source, ks)
    z = embedding_of(
        source,
        embedding,
        init_from=init_from,
        workdir=folder / "autoencoder",
        seed=seed,
        epochs=epochs,
        fresh=fresh,
        standardize=standardize,
        progress=True,
    )
    choice, scores = choose_k(z, ks, seed=seed, say=say)
    about = {
        "data": source.name,
        "understood": source.understood or None,
        "n_samples": len(z),
        "n_classes": None if source.labels is None else len(np.unique(source.labels)),
        "embedding": embedding if init_from is None else str(init_from),
        "seed": seed,
        "seconds": time.perf_counter() - began,
    }
    return write(folder, choice, scores, about)


def _check_range(source: Source, ks: Sequence[int]) -> None:
    """Checks the arguments, before an autoencoder is trained in vain."""
    if not ks or min(ks) < 2:
        raise InputError("numbers of clusters to choose among start at 2, and --to is not below --from")
    if max(ks) >= source.n_samples // 2:
        raise InputError(
            f"{max(ks)} clusters can't be judged by halves of {source.n_samples // 2:,} samples: lower --to"
        )
