"""The interface of a data source, and a source for arrays in memory."""

from __future__ import annotations

import abc
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxdc.data.precision import what_float32_loses
from jaxdc.errors import InputError
from jaxdc.settings import plain

_KINDS = {str: "text", bool: "truth value", int: "number", float: "number"}  # of labels
Block = tuple[np.ndarray, np.ndarray]  # samples [b, ...] and their rows in the data set [b]


class Source(abc.ABC):
    """A data set: n samples of one shape (uint8 images, float32 vectors or int32 token ids) in a fixed order.

    Attributes:
      name: name given by the user.
      shape: shape of one sample.
      dtype: uint8, float32 or int32.
      n_samples: number of samples.
      n_reported: number of leading samples that results are reported for; the others are only trained on. None:
        all.
      n_copies: number of augmented copies of each image among the samples, made once.
      labels: classes of the reported samples, or None; used only for scoring.
      sample_names: name of each reported sample, or None if row numbers serve as names.
      protocol: which part of the data this is, reported with every score.
      views: number of columns of each view, by name, for samples that concatenate several views; else None.
      array: all samples ``[n, ...]`` if they are in memory; None if they are streamed.
      texts: the documents, if the samples are vectors of texts, else None.
      fitted: the vectoriser of the texts (``jaxdc.data.text.Fitted``), or None.
      encoder: what made vectors of images (``jaxdc.embed.ImageEncoder``), or None.
      images: the images that the samples are vectors of, or None.
      sounds: the recordings (``jaxdc.data.sound.Recordings``) that the samples are spectrograms of, or None.
      graph: the edges between the samples (``jaxdc.data.graphs.Graph``), of a network; else None.
      opened: arguments of ``open_source``, to reopen the data; None for data from elsewhere.
      columns: the names of the features, of a table that has names; else None.
      divisors: what values of images of more than 8 bits were divided by, by kind ("integers", "floats"), one for
        all of them; None if there are no such images.
      understood: a sentence on how the input was read, or "".
      order: what orders an epoch, if an earlier version had another order for the same data, so that a run in that
        order isn't resumed in this one; else "".
      offset: value that says nothing, such as the mean of a normalized recording; methods that scale samples
        by their rms subtract it first.
      exact: the samples in float64, if float32 can't hold what they say; else None. ``inexact`` says why.
      inexact: what float32 would lose, in words, or "".
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    n_samples: int
    n_reported: int | None = None
    n_copies: int = 0
    labels: np.ndarray | None = None
    sample_names: Sequence[str] | None = None
    protocol: str = ""
    views: Mapping[str, int] | None = None
    array: np.ndarray | None = None
    texts: Sequence[str] | None = None
    fitted: Any = None
    encoder: Any = None
    images: Source | None = None
    sounds: Any = None
    graph: Any = None
    opened: Mapping[str, Any] | None = None
    columns: tuple[str, ...] | None = None
    divisors: Mapping[str, float] | None = None
    understood: str = ""
    order: str = ""
    offset: float = 0.0
    exact: np.ndarray | None = None
    inexact: str = ""

    @property
    def use(self) -> str:
        """How a run uses the samples: the second half of the protocol."""
        scored = "them" if self.n_reported is None else f"the first {self.n_reported:,} of {self.n_samples:,}"
        return f"trained on them without labels and scored on {scored}"

    @abc.abstractmethod
    def read(self, rows: Iterator[np.ndarray]) -> Iterator[Block]:
        """Samples by their rows, one batch after another."""

    def batches(
        self, batch_size: int, *, seed: int, epoch: int, skip: int, shard: tuple[int, int]
    ) -> Iterator[Block]:
        """One epoch in an order determined by (seed, epoch), in full batches, without the first ``skip``.

        ``batch_size`` counts the samples of this process; ``shard`` is (its index, the number of processes).
        """
        order = np.random.default_rng((seed, epoch)).permutation(self.n_samples)
        return self.read(own_parts(order, batch_size, skip=skip, shard=shard))

    def blocks(self, batch_size: int, *, shard: tuple[int, int]) -> Iterator[Block]:
        """Every sample of this shard once, in order; the last block may be short."""
        rows = np.arange(self.n_samples)[shard[0] :: shard[1]]
        return self.read(rows[i : i + batch_size] for i in range(0, len(rows), batch_size))

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A short text that changes with the data, so that a run is never resumed on other data."""

    def rms(self) -> float:
        """Root mean square of the values that a method receives (uint8 is divided by 255), less ``offset``.

        Estimated from the first 10,000 samples or so.
        """
        total, count = 0.0, 0
        rows = max(min(1024, 2**28 // max(math.prod(self.shape), 1)), 1)  # of large images, as many as fit
        for x, _ in self.blocks(rows, shard=(0, 1)):
            x = x.astype(np.float64) / 255 if self.dtype == np.uint8 else x.astype(np.float64)
            total, count = total + float(np.sum((x - self.offset) ** 2)), count + x.size
            if count >= 10_000 * max(math.prod(self.shape), 1):
                break
        return math.sqrt(total / count) if count else 1.0


class ArraySource(Source):
    """Samples in memory.

    Args:
      x: ``[n, d]`` or ``[n, height, width, channels]`` (``[n, height, width]`` gets a channel axis).
        uint8 stays as it is; other numbers become float32.
      labels: classes ``[n]``, or ``[n_reported]``, for scoring.
      sample_names: name of each reported sample, for the table of assignments.
      name: name for messages.
      protocol: which part of the data this is.
      n_reported: as in ``Source``.
      columns: names of the columns of a matrix, or None.

    Raises:
      InputError: no samples, NaN or infinity (with its position), wrong rank, or wrong number of labels.
    """

    def __init__(
        self,
        x,
        labels=None,
        *,
        sample_names=None,
        name: str = "array",
        protocol: str = "all samples",
        n_reported: int | None = None,
        columns: Sequence[str] | None = None,
    ):
        x = np.asarray(x)
        self.columns = None if columns is None else tuple(columns)
        check_samples(x, name)
        if x.dtype != np.uint8:
            check_finite(x, name)
            given, x = x, _as_float32(x)
            self.inexact = what_float32_loses(given, x, columns)
            self.exact = given.astype(np.float64) if self.inexact else None
        if x.ndim == 3:
            x = x[..., None]
        check_finite(x, name)
        if labels is not None:
            labels = checked_labels(labels, n_reported or len(x), name)
        self.array, self._x, self.labels, self.sample_names = x, x, labels, sample_names
        self.name, self.protocol = name, protocol
        self.shape, self.dtype, self.n_samples, self.n_reported = x.shape[1:], x.dtype, len(x), n_reported

    def by_columns(self, order: Sequence[int]) -> ArraySource:
        """The same with the columns of a matrix in another order."""
        made = ArraySource(
            (self._x if self.exact is None else self.exact)[:, list(order)],
            self.labels,
            sample_names=self.sample_names,
            name=self.name,
            protocol=self.protocol,
            n_reported=self.n_reported,
            columns=None if self.columns is None else [self.columns[i] for i in order],
        )
        made.opened, made.understood = self.opened, self.understood
        return made

    def read(self, rows):
        for part in rows:
            yield self._x[part], part

    def fingerprint(self):
        checksum = zlib.crc32(np.ascontiguousarray(self._x).view(np.uint8).reshape(-1).data)
        return f"{self.dtype}{list(self._x.shape)} crc32 {checksum:08x}"


class FirstSamples(Source):
    """The first samples of a source: those that are reported, for a stage that leaves out the others.

    Args:
      source: the whole source.
      n: number of samples to keep.
    """

    def __init__(self, source: Source, n: int):
        self._source, self.n_samples = source, n
        self.name, self.protocol, self.shape, self.dtype = source.name, source.protocol, source.shape, source.dtype
        self.labels, self.sample_names, self.views = source.labels, source.sample_names, source.views
        self.array = None if source.array is None else source.array[:n]

    def read(self, rows):
        return self._source.read(rows)

    def fingerprint(self):
        return f"the first {self.n_samples} of {self._source.fingerprint()}"


class StandardizedSource(Source):
    """A source of vectors whose columns are scaled to mean 0 and variance 1.

    Args:
      source: vectors ``[n, d]``.
      mean: mean of each column.
      std: standard deviation of each column; a constant column is not scaled.
    """

    def __init__(self, source: Source, mean: np.ndarray, std: np.ndarray):
        if len(source.shape) != 1:
            raise InputError(f"only tables and matrices can be standardized, but {source.name} holds images")
        if source.shape != mean.shape:
            raise InputError(f"{source.name} has {source.shape[0]} columns, but {len(mean)} are expected")
        self._source, self._mean, self._scale = source, mean, np.where(std > 0, std, 1.0)
        self.name, self.protocol = source.name, source.protocol
        self.shape, self.dtype, self.n_samples = source.shape, np.dtype(np.float32), source.n_samples
        self.labels, self.sample_names, self.n_reported = source.labels, source.sample_names, source.n_reported
        self.texts, self.fitted, self.opened = source.texts, source.fitted, source.opened
        self.encoder, self.images, self.graph = source.encoder, source.images, source.graph
        self.views, self.columns, self.understood = source.views, source.columns, source.understood
        self.array = None if source.array is None else self._apply(_most_exact(source))

    @classmethod
    def of(cls, source: Source) -> StandardizedSource:
        """Standardizes a source with its own means and deviations."""
        if len(source.shape) != 1:
            raise InputError(f"only tables and matrices can be standardized, but {source.name} is neither")
        if source.array is not None:
            x = _most_exact(source)
            return cls(source, x.mean(axis=0), x.std(axis=0))
        mean, square = np.zeros(source.shape), np.zeros(source.shape)
        for x, _ in source.blocks(4096, shard=(0, 1)):
            mean += x.sum(axis=0, dtype=np.float64) / source.n_samples
        for x, _ in source.blocks(4096, shard=(0, 1)):
            square += np.sum((x - mean) ** 2, axis=0) / source.n_samples
        return cls(source, mean, np.sqrt(square))

    @property
    def statistics(self) -> dict[str, list[float]]:
        """Means and deviations for ``config.json``, to transform new samples in the same way."""
        return {"mean": self._mean.tolist(), "std": self._scale.tolist()}

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return ((x - self._mean) / self._scale).astype(np.float32)

    def read(self, rows):
        if self.array is not None:
            for part in rows:
                yield self.array[part], part
            return
        for x, part in self._source.read(rows):
            yield self._apply(x), part

    def fingerprint(self):
        return f"{self._source.fingerprint()}, standardized"


def _most_exact(source: Source) -> np.ndarray:
    """The samples in float64, as exact as they were given."""
    assert source.array is not None
    return source.array.astype(np.float64) if source.exact is None else source.exact


def _as_float32(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what_float32_loses tells of it
        return x.astype(np.float32)


def check_samples(x: np.ndarray, name: str) -> None:
    """Raises InputError unless ``x`` is a non-empty numeric matrix or set of images."""
    if x.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {x.dtype} values, but clustering needs numbers")
    if x.ndim not in (2, 3, 4):
        raise InputError(
            f"{name} has shape {x.shape}; it must be a matrix [n, d] or images [n, height, width, channels]"
        )
    if not x.size:
        raise InputError(f"{name} is empty: its shape is {x.shape}")


def checked_labels(given: Any, n_samples: int, name: str) -> np.ndarray:
    """Classes ``[n_samples]`` as they are given: numbers, truth values or texts, all of one kind.

    Raises:
      InputError: there isn't one class per sample, one is missing (None, NaN), or they are of several kinds.
    """
    if isinstance(given, list | tuple) and any(isinstance(one, str | None) for one in given):
        labels = np.empty(len(given), object)  # NumPy would make texts of numbers and of NaN
        labels[:] = given
    else:
        labels = np.asarray(given)
    if labels.shape != (n_samples,):
        raise InputError(f"{name} has {n_samples} samples but labels of shape {labels.shape}")
    missing = np.array([_is_missing(one) for one in labels]) if labels.dtype == object else labels == "nan"
    if labels.dtype.kind == "f":
        missing = ~np.isfinite(labels)
    if np.any(missing):
        row = int(np.argmax(missing))
        raise InputError(f"{name} has the label {labels[row]} in row {row}; pass no labels if some are unknown")
    if labels.dtype != object:
        return labels
    values = [plain(label) for label in labels]
    kinds = [_KINDS.get(type(value), f"of type {type(value).__name__}") for value in values]
    other = next((row for row, kind in enumerate(kinds) if kind != kinds[0]), None)
    if other is not None:
        raise InputError(
            f"{name} has labels of several kinds: row 0 is a {kinds[0]}, row {other} a {kinds[other]}; give all "
            "as one kind"
        )
    if kinds[0] not in _KINDS.values():
        raise InputError(f"{name} has labels {kinds[0]}; give numbers or texts")
    return np.array(values)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label) or label == "nan"
    except TypeError:  # what pandas has for missing values is neither true nor false
        return True


def check_finite(x: np.ndarray, name: str, *, first_row: int = 0) -> None:
    """Raises InputError at the first NaN or infinity, with its column and its row, counted from ``first_row``."""
    if x.dtype.kind != "f" or np.isfinite(x.sum(dtype=np.float64)):
        return
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, *rest = bad[0].tolist()
        column = rest[0] if len(rest) == 1 else tuple(rest)
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(
            f"{name} has {x[tuple(bad[0])]} in row {first_row + row}, column {column}{more}; "
            "remove these samples or fill in the values"
        )


def own_parts(order: np.ndarray, batch_size: int, *, skip: int, shard: tuple[int, int]) -> Iterator[np.ndarray]:
    """This process's part of each full global batch of an epoch, whose order is known to all processes."""
    index, n_shards = shard
    for i in range(skip, len(order) // (batch_size * n_shards)):
        first = (i * n_shards + index) * batch_size
        yield order[first : first + batch_size]
