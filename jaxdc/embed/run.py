"""Embeds images into a file, block by block; an interrupted process resumes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc.data import Source
from jaxdc.data.text.progress import Progress
from jaxdc.data.text.vectorizer import silent
from jaxdc.distributed import sharding
from jaxdc.embed.embedder import Embedder
from jaxdc.embed.encoder import ImageEncoder
from jaxdc.embed.source import EmbeddedSource
from jaxdc.errors import InputError
from jaxdc.reading import read_array, read_json
from jaxdc.writing import full_disk_is_an_input_error, write_json

SECONDS = 10.0  # between two notes of how far it has come


def embed(
    source: Source,
    encoder: ImageEncoder,
    path: str | Path,
    *,
    fresh: bool = False,
    devices: Sequence[Any] | None = None,
    say: Callable[[str], None] = silent,
) -> np.ndarray:
    """Embeds the images of a source, and keeps the vectors in a file.

    Beside ``x.npy`` lies ``x.json``, which says which encoder made it of which data; the same call again reads
    what is there.

    Args:
      source: images of 1 or 3 channels: uint8, or floats from 0 to 1.
      encoder: what embeds them.
      path: path of the ``.npy`` file.
      fresh: replace what is there.
      devices: to work on; by default all.
      say: told how far it has come.

    Returns:
      Vectors ``[n, d]`` of unit length, float32, mapped from the file.

    Raises:
      InputError: the samples are no images, the file holds something else, or the encoder is gone.
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise InputError(f"embeddings are written to an .npy file, not to {path}")
    _check_images(source)
    about = {
        "encoder": dataclasses.asdict(encoder.at(None)),
        "data": {"name": source.name, "protocol": source.protocol, "fingerprint": source.fingerprint()},
    }
    place = _Place(path, about)
    done, finished = sharding.gather(list(_start(place, fresh=fresh)))[0]
    if not finished:
        model = encoder.open()
        embedder = Embedder(model, encoder.dtype, devices)
        _fill(place, embedder, source, model.n_features, done, say)
        sharding.wait_for_all("embedded")
    return read_array(path, mmap_mode="r")


def embedded(
    source: Source,
    encoder: ImageEncoder,
    cache: str | Path,
    *,
    resident_bytes: int = 2**31,
    devices: Sequence[Any] | None = None,
    say: Callable[[str], None] = silent,
) -> EmbeddedSource:
    """The source of the vectors of images, which are computed unless the folder ``cache`` holds them already.

    A file of it is named after the data and the encoder. Other arguments and errors are those of ``embed``.
    """
    said = json.dumps([source.fingerprint(), dataclasses.asdict(encoder.at(None))], sort_keys=True)
    name = f"{Path(source.name).stem}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.npy"
    vectors = embed(source, encoder, Path(cache) / name, devices=devices, say=say)
    return EmbeddedSource(source, vectors, encoder, resident_bytes=resident_bytes)


def in_memory(source: Source, encoder: ImageEncoder, *, devices: Sequence[Any] | None = None) -> EmbeddedSource:
    """The same, computed anew and kept nowhere: for a few images."""
    _check_images(source)
    vectors = np.concatenate(list(Embedder(encoder.open(), encoder.dtype, devices)(source)))
    return EmbeddedSource(source, vectors, encoder)


def with_note(source: Source, path: str | Path) -> Source:
    """Vectors that ``embed`` made and a user names by their file: the source learns which encoder made them."""
    note = Path(path).with_suffix(".json")
    if source.encoder is None and Path(path).suffix == ".npy" and note.exists():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            source.encoder = ImageEncoder(**read_json(note)["encoder"])
    return source


@dataclasses.dataclass(frozen=True)
class _Place:
    """The file, the note beside it, and what both are called until they are whole."""

    path: Path
    about: dict[str, Any]

    @property
    def note(self) -> Path:
        return self.path.with_suffix(".json")

    @property
    def partial(self) -> Path:
        return self.path.with_name(f".{self.path.name}.partial")

    @property
    def partial_note(self) -> Path:
        return self.note.with_name(f".{self.note.stem}.progress.json")

    def tell(self, path: Path, **more: Any) -> None:
        with full_disk_is_an_input_error(self.path):
            write_json(path, {**self.about, **more})

    def said(self, path: Path) -> dict[str, Any]:
        """What a note says, if it is of these data and this encoder."""
        try:
            content = read_json(path)
            content["data"]["name"] = self.about["data"]["name"]  # another spelling of a path is the same data
            return content if all(content[key] == value for key, value in self.about.items()) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _check_images(source: Source) -> None:
    if len(source.shape) != 3 or source.shape[-1] not in (1, 3):
        raise InputError(
            f"an encoder takes images of 1 or 3 channels, but a sample of {source.name} has the shape "
            f"{list(source.shape)}"
        )


def _start(place: _Place, *, fresh: bool) -> tuple[int, bool]:
    """How many samples are done, and whether these are all. Makes the folder; process 0 decides."""
    if not sharding.is_main_process():
        return 0, False
    with full_disk_is_an_input_error(place.path):
        place.path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            for path in (place.path, place.note, place.partial, place.partial_note):
                path.unlink(missing_ok=True)
        if place.path.exists():
            if not place.said(place.note):
                raise InputError(
                    f"{place.path} exists, and is not what this encoder made of these data: choose another file, "
                    "or replace it with --fresh"
                )
            return 0, True
        return int(place.said(place.partial_note).get("done", 0)) if place.partial.exists() else 0, False


def _fill(
    place: _Place, embedder: Embedder, source: Source, width: int, done: int, say: Callable[[str], None]
) -> None:
    began, before, shape = time.perf_counter(), done, (source.n_samples, width)
    file = None
    if sharding.is_main_process():
        with full_disk_is_an_input_error(place.path):
            mode = "r+" if done else "w+"
            file = np.lib.format.open_memmap(place.partial, mode, dtype=np.float32, shape=None if done else shape)
            if file.shape != shape:
                raise InputError(f"{place.partial} is damaged: remove it")
    if done:
        say(f"resuming after {done:,} of {source.n_samples:,} images")
    told = time.monotonic()
    with Progress("embedding", source.n_samples - done, say, unit="images") as progress:
        try:
            for vectors in embedder(source, done):
                if file is not None:
                    file[done : done + len(vectors)] = vectors
                done += len(vectors)
                progress.advance(len(vectors))
                if file is not None and time.monotonic() - told > SECONDS:
                    file.flush()
                    place.tell(place.partial_note, done=done)
                    told = time.monotonic()
        finally:
            if file is not None:
                file.flush()
                place.tell(place.partial_note, done=done)
    seconds = time.perf_counter() - began
    if file is not None:
        # The note first: a file under its own name is whole, and has one.
        place.tell(place.note, shape=list(shape), seconds=round(seconds, 1), images=done - before)
        with full_disk_is_an_input_error(place.path):
            place.partial.replace(place.path)
            place.partial_note.unlink(missing_ok=True)
    pace = (done - before) / max(seconds, 1e-9)
    say(f"embedded {done - before:,} images in {seconds:.0f} s ({pace:,.1f} images/s)")
