"""Describing a run: its data are opened again, and what is found is written into its folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jaxdc import describe as describing
from jaxdc.data import Source, open_source, text
from jaxdc.describe import Cluster
from jaxdc.errors import InputError
from jaxdc.training import runfolder
from jaxdc.training.result import Result

PICTURE = 96  # pixels of the longer side


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
    """Describes the clusters of a run, and writes ``description.json`` and ``description.html`` into its folder.

    Args:
      result: the run.
      folder: its folder.
      data: where its samples are now, if not where they were.
      n_terms: at most so many terms a cluster.
      n_members: at most so many central and so many doubtful samples a cluster.
      n_sentences: at most so many in a summary.
      say: told what a person should know.

    Raises:
      InputError: the data are gone, or are not those of the training.
    """
    texts, source = None, None
    if result.fitted is not None:
        texts = _documents(result, data, say).texts
    elif len(result.config["run"]["data"]["shape"]) == 3:
        source = _samples(result, data, say)
    stop_words = getattr(result.fitted and result.fitted.vectorizer, "stop_words", "english")
    clusters = describing.describe(
        result.embeddings,
        result.probabilities,
        sample_names=result.sample_names,
        texts=texts,
        n_terms=n_terms,
        n_members=n_members,
        n_sentences=n_sentences,
        stop_words=None if stop_words == "none" else stop_words,
    )
    pictures = {} if source is None else _pictures(source, clusters)
    title = f"{result.metrics['method']} on {Path(result.config['run']['data']['name']).name}"
    lines = [_summary(result)]
    with runfolder.full_disk_is_an_input_error(folder):
        content = {"clusters": [cluster.as_dict() for cluster in clusters]}
        runfolder.write_json(folder / "description.json", content)
        with runfolder.replacing(folder / "description.html") as file:
            file.write(describing.page(title, lines, clusters, pictures))
    return clusters


def _summary(result: Result) -> str:
    figures = result.metrics
    line = f"{figures['n_samples']:,} samples in {figures['n_clusters']} clusters"
    if figures["acc"] is not None:
        scores = ", ".join(f"{name.upper()} {figures[name]:.4f}" for name in ("acc", "nmi", "ari"))
        line += f"; {scores} ({figures['protocol']}: {figures['seed']})"
    return line


def _documents(result: Result, data: str | None, say: Callable[[str], None]) -> text.Documents:
    opened = _opened(result, data)
    documents = text.read_documents(
        Path(opened["data"]),
        column=opened["text_column"],
        split=opened["split"],
        skip_empty=opened["skip_empty_texts"],
        say=say,
    )
    _check_same(result, text.fingerprint_of(documents.texts), opened["data"])
    return documents


def _samples(result: Result, data: str | None, say: Callable[[str], None]) -> Source:
    opened, shape = _opened(result, data), result.config["run"]["data"]["shape"]
    data_dir = None if opened["data_dir"] is None else Path(opened["data_dir"])
    source = open_source(
        opened["data"],
        data_dir=data_dir,
        split=opened["split"],
        image_size=shape[0],
        channels=shape[2],
        skip_bad_images=opened["skip_bad_images"],
        say=say,
    )
    _check_same(result, source.fingerprint(), source.name)
    return source


def _opened(result: Result, data: str | None) -> dict:
    opened = result.config.get("opened")
    if opened is None:
        if data is None:
            raise InputError("this run was given its samples from Python: say where they are with --data")
        opened = {"data_dir": None, "split": "all", "skip_bad_images": False, "text_column": None}
        opened |= {"skip_empty_texts": False, "data": data}
    where = opened["data"] if data is None else data
    if Path(where).name != where and not Path(where).exists():
        raise InputError(f"the samples of this run are no longer in {where}: say where they are with --data")
    return {**opened, "data": where}


def _check_same(result: Result, fingerprint: str, name: str) -> None:
    if fingerprint != result.config["run"]["data"]["fingerprint"].removesuffix(", standardized"):
        raise InputError(f"{name} does not hold the samples that this run was trained on: they have changed since")


def _pictures(source: Source, clusters: Sequence[Cluster]) -> dict[int, bytes]:
    rows = sorted({member.row for c in clusters for member in (*c.central, *c.doubtful)})
    parts = source.read(iter([np.array(rows[i : i + 64]) for i in range(0, len(rows), 64)]))
    return {int(row): _png(image) for x, part in parts for image, row in zip(x, part, strict=True)}


def _png(x: np.ndarray) -> bytes:
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        x = ((x - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    image = Image.fromarray(x[..., 0] if x.shape[2] != 3 else x)
    image.thumbnail((PICTURE, PICTURE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
