"""Reopens the samples of a finished run, at their old or new location."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdc.data import Source, open_source, text
from jaxdc.data.sound import LogMel, Recordings
from jaxdc.errors import InputError
from jaxdc.methods.base import Graph


class Samples(NamedTuple):
    """The samples for display: texts, images, classes, recordings, edges; None for what the data do not have."""

    texts: Sequence[str] | None = None
    images: Source | None = None
    labels_true: np.ndarray | None = None
    sounds: Recordings | None = None
    graph: Graph | None = None

    @classmethod
    def of(cls, source: Source) -> Samples:
        """The samples of an open source."""
        images = source if source.texts is None and len(source.shape) == 3 else source.images
        return cls(source.texts, images, source.labels, source.sounds, source.graph)


def samples_of_run(
    config: Mapping[str, Any], data: str | None = None, *, say: Callable[[str], None] = lambda text: None
) -> Samples:
    """Opens the data of a run.

    Args:
      config: the content of its ``config.json``.
      data: current path of the data, if they have moved.
      say: receives warnings for the user.

    Raises:
      InputError: the data are missing, or are not those of the training.
    """
    opened, described = _opened(config, data), config["run"]["data"]
    if described.get("vectorizer") is not None:
        documents = text.read_documents(
            Path(opened["data"]),
            column=opened["text_column"],
            split=opened["split"],
            skip_empty=opened["skip_empty_texts"],
            say=say,
        )
        _check_same(described, text.fingerprint_of(documents.texts), opened["data"])
        return Samples(documents.texts, None, documents.labels)
    shape, data_dir, how = described["shape"], opened["data_dir"], {}
    if opened.get("sound") is not None:
        how = {"sound": log_mel_of(opened), "skip_bad_sounds": opened["skip_bad_sounds"]}
    elif described.get("encoder") is not None and opened.get("encoder") is not None:
        # What people look at are the pictures, of the size that the encoder saw.
        how = {name: opened[name] for name in ("resample", "stretch", "image_size") if name in opened}
        how["channels"] = 3
    elif len(shape) == 3:
        how = {"image_size": shape[0], "channels": shape[2]}
    source = open_source(
        opened["data"],
        data_dir=None if data_dir is None else Path(data_dir),
        split=opened["split"],
        skip_bad_images=opened["skip_bad_images"],
        divisors=config.get("understood", {}).get("divisors"),
        views=opened.get("views"),
        label_column=opened.get("label_column"),
        say=say,
        **how,
    )
    _check_same(described, source.fingerprint(), source.name)
    return Samples.of(source)


def log_mel_of(opened: Mapping[str, Any] | None) -> LogMel | None:
    """How the recordings of a run became spectrograms, from "opened" in ``config.json``; None without any."""
    described = (opened or {}).get("sound")
    try:
        return None if described is None else LogMel(**described)
    except TypeError as error:
        raise InputError(f"config.json has invalid settings of sound: {error}") from error


def _opened(config: Mapping[str, Any], data: str | None) -> dict[str, Any]:
    opened = config.get("opened") or {}
    where = opened.get("data") if data is None else data
    if not isinstance(where, str):
        raise InputError("this run was trained on arrays from Python: pass the samples with --data")
    defaults = {"data_dir": None, "split": "all", "skip_bad_images": False, "text_column": None}
    opened = {**defaults, "skip_empty_texts": False, **opened}
    if Path(where).name != where and not Path(where).exists():
        raise InputError(f"the samples of this run are no longer at {where}: pass their new path with --data")
    return {**opened, "data": where}


def _check_same(described: Mapping[str, Any], fingerprint: str, name: str) -> None:
    if fingerprint != described["fingerprint"].removesuffix(", standardized"):
        raise InputError(f"{name} does not match the samples of this run: they have changed since training")
