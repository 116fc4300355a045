"""The duplicates among the samples of a run, and a table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from jaxdc import csv_tables
from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.runs.result_files import Results, read_results
from jaxdc.runs.samples import Samples, samples_of_run
from jaxdc.writing import full_disk_is_an_input_error, replacing

TABLE = "duplicates.csv"
SIDE = 16  # pixels of the pictures that are compared
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG keeps it whole
READ = 256  # pictures at a time
On = Literal["samples", "embedding"]


class Duplicates(NamedTuple):
    """Groups of samples, each a list of rows in ascending order.

    Attributes:
      exact: samples that are equal: pictures pixel by pixel at the size of the run, texts letter by letter.
      near: samples that are equal or nearly so; each exact group is part of one of these.
    """

    exact: list[list[int]]
    near: list[list[int]]

    @property
    def n_exact(self) -> int:
        """The number of samples that are equal to an earlier one."""
        return sum(len(group) - 1 for group in self.exact)

    @property
    def n_near(self) -> int:
        """The number of samples that are near duplicates of an earlier one, or equal to it."""
        return sum(len(group) - 1 for group in self.near)


def duplicates_of(samples: Samples, threshold: float = 0.98) -> Duplicates:
    """Duplicates among pictures or texts.

    Pictures are compared by the cosine of their pixels at 16 x 16, minus their mean, so that size, compression,
    brightness and contrast make no difference; texts by the cosine of their tf-idf vectors of words.

    Args:
      samples: pictures or texts.
      threshold: least cosine of near duplicates, above 0 and at most 1.

    Raises:
      InputError: the samples are neither pictures nor texts.
    """
    from jaxdc.duplicates.groups import exact_groups, near_groups

    if samples.texts is not None:
        texts = [str(text) for text in samples.texts]
        exact = exact_groups(text.encode("utf-8", "surrogatepass") for text in texts)
        return Duplicates(exact, _with_exact(near_groups(_vectors_of_texts(texts), threshold), exact))
    if samples.images is None:
        raise InputError(
            "the samples of this run are neither pictures nor texts: compare its features with --on embedding"
        )
    pictures, contents = [], []
    for picture in _pictures(samples.images):
        contents.append(np.ascontiguousarray(picture).tobytes())
        pictures.append(_shrunk(picture))
    exact = exact_groups(contents)
    return Duplicates(exact, _with_exact(near_groups(np.stack(pictures), threshold), exact))


def duplicates_of_run(
    folder: str | Path,
    *,
    data: str | None = None,
    on: On = "samples",
    threshold: float = 0.98,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Duplicates, Results]:
    """Finds the duplicates of a run, and writes ``duplicates.csv`` to its folder.

    The table has a line per sample that is in a group: the number of the group, whether the sample is equal to an
    earlier one, its name, and its cluster.

    Args:
      folder: folder of a finished run.
      data: current path of the samples, if they have moved.
      on: what near duplicates are compared by: the "samples" themselves, pictures or texts, or the "embedding"
        of the run, in which samples of one cluster may all be alike.
      threshold: least cosine of near duplicates, above 0 and at most 1.
      say: receives messages for the user.

    Returns:
      The duplicates, and the results of the run.

    Raises:
      InputError: the run is not finished, the samples are missing, or the threshold is out of range.
    """
    from jaxdc.duplicates.groups import exact_groups, near_groups

    folder = Path(folder)
    if not 0 < threshold <= 1:
        raise InputError(f"the threshold is a cosine above 0 and at most 1, but is {threshold:g}")
    if on not in get_args(On):
        raise InputError(f"on must be samples or embedding, but is {on!r}")
    results = read_results(folder, say)
    if on == "embedding":
        if results.embeddings is None:
            raise InputError(f"{folder / 'embeddings.npy'} is missing")
        exact = exact_groups(np.ascontiguousarray(row).tobytes() for row in results.embeddings)
        found = Duplicates(exact, _with_exact(near_groups(results.embeddings, threshold), exact))
    else:
        found = duplicates_of(samples_of_run(results.config, data, say=say), threshold)
    n = len(results.labels)
    found = Duplicates(*([rows for group in part if len(rows := _below(group, n)) > 1] for part in found))
    with full_disk_is_an_input_error(folder), replacing(folder / TABLE) as file:
        _write(file, found, results)
    return found, results


def _write(file: Any, found: Duplicates, results: Results) -> None:
    repeated = {row for group in found.exact for row in group[1:]}
    table = csv_tables.Writer(file, ("group", "equal_to_earlier", "sample", "cluster"))
    for number, group in enumerate(found.near):
        for row in group:
            name = row if results.sample_names is None else results.sample_names[row]
            table.row((number, "yes" if row in repeated else "no", name, int(results.labels[row])))


def _below(group: list[int], n: int) -> list[int]:
    """The rows of reported samples: those that are only trained on come after them."""
    return [row for row in group if row < n]


def _with_exact(near: list[list[int]], exact: list[list[int]]) -> list[list[int]]:
    """Adds groups of equal samples that have no direction, such as black pictures."""
    grouped = {row for group in near for row in group}
    return sorted([*near, *(group for group in exact if group[0] not in grouped)])


def _vectors_of_texts(texts: list[str]) -> Any:
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        return TfidfVectorizer(token_pattern=r"(?u)\b\w+\b").fit_transform(texts)
    except ValueError:  # no words at all
        return csr_array((len(texts), 1))


def _pictures(images: Source) -> Iterator[np.ndarray]:
    rows = np.arange(images.n_samples)
    for x, _ in images.read(iter([rows[i : i + READ] for i in range(0, len(rows), READ)])):
        yield from x


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """A picture ``[height, width, channels]`` as a vector of ``16 x 16`` means of areas, minus their mean."""
    from PIL import Image

    x = picture.astype(np.float32)
    grey = x @ LUMA if x.shape[2] == 3 else x.mean(axis=2)
    small = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX))
    return (small - small.mean()).ravel()
