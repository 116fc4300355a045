"""Several views of the same samples, such as two kinds of features: ``.mat`` and ``.npz`` files of several arrays.

A sample is the concatenation of its views, so any method can cluster them together; ``Source.views`` maps the
columns to views. All columns are scaled to mean 0 and variance 1 when training starts, as with ``--standardize``:
views have different units, and one could dominate the others.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxdc.data.sources import ArraySource, Source, check_finite
from jaxdc.errors import InputError
from jaxdc.reading import Archive, check_expansion
from jaxdc.reading.mat import check_mat

LABELS = ("y", "label", "labels", "class", "classes", "target", "targets", "truth", "gt", "gnd")
DEFAULT = 2  # number of views to use if none are named


class ViewsSource(ArraySource):
    """Views of the same samples, concatenated.

    Args:
      views: samples ``[n, ...]`` of each view, by name; images are flattened.
      labels: classes ``[n]``, for scoring.
      name: name for messages.

    Raises:
      InputError: the views differ in length, or one of them is not a numeric array.
    """

    def __init__(self, views: Mapping[str, np.ndarray], labels=None, *, name: str = "views"):
        lengths = {view: len(x) for view, x in views.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{n:,} of {view}" for view, n in lengths.items())
            raise InputError(f"the views of {name} must hold the same samples, but have different lengths: {told}")
        flat = {view: _flat(x, f"{view} of {name}") for view, x in views.items()}
        protocol = f"all samples, {'view' if len(flat) == 1 else 'views'} {', '.join(flat)}"
        x = np.concatenate(list(flat.values()), axis=1)
        super().__init__(x, labels, name=name, protocol=protocol)
        self.views = self._widths = {view: x.shape[1] for view, x in flat.items()}

    def only(self, chosen: str) -> ViewsSource:
        """A selection of these views, by name or position, in the format of ``--views``."""
        ends = np.cumsum(list(self._widths.values()))[:-1]
        parts: dict[str, np.ndarray] = dict(zip(self._widths, np.split(self._x, ends, axis=1), strict=True))
        return ViewsSource(_chosen(parts, chosen, self.name), self.labels, name=self.name)


def load_views(path: Path, chosen: str | None = None) -> ViewsSource:
    """Loads the views of a file: the arrays of an ``.npz``, or the cells or matrices of a ``.mat`` (before 7.3).

    An array with a name like y, label or gt, in either case, holds the classes; so does a one-hot matrix beside
    other matrices. In a ``.mat`` samples may be rows or columns: the classes tell, or the length that all views
    share.

    Args:
      path: the file.
      chosen: names, or positions from 0 in the file, separated by commas (default: the first two).

    Raises:
      InputError: the file can't be read, has no such view, or the views don't belong together.
    """
    arrays = _read_mat(path) if path.suffix.lower() == ".mat" else dict(Archive(path))
    labels = next((arrays.pop(key) for key in list(arrays) if key.lower() in LABELS), None)
    if labels is not None:
        labels = _labels(labels, path)
    views, one_hot = _views_in(arrays), {}
    for key in [key for key, x in views.items() if len(views) > 1 and _is_one_hot(x)]:
        one_hot[key] = views.pop(key)
    if labels is None and one_hot:
        labels = next(iter(one_hot.values())).argmax(axis=1)
    if not views:
        raise InputError(
            f"{path} has no numeric matrix to use as a view; it holds {', '.join(arrays) or 'nothing'}"
        )
    if chosen is None:
        views = dict(list(views.items())[:DEFAULT])
    else:
        views = _chosen(views, chosen, str(path))
    if path.suffix.lower() == ".mat":
        views = _upright(views, None if labels is None else len(labels))
    if labels is not None and labels.shape != (len(next(iter(views.values()))),):
        told = ", ".join(f"{view} {list(x.shape)}" for view, x in views.items())
        raise InputError(f"{path} has {len(labels):,} labels, which match no axis of its views: {told}")
    source = ViewsSource(views, labels, name=str(path))
    left = [
        key for key in arrays if key not in views and not (arrays[key].dtype == object and path.suffix == ".mat")
    ]
    source.understood = f"{'view' if len(views) == 1 else 'views'} {', '.join(views)}; " + (
        "label: none" if labels is None else "with classes"
    )
    if left:
        source.understood += f"; left out: {', '.join(left)}"
    return source


def _is_one_hot(x: np.ndarray) -> bool:
    """Whether every row is a class: a single 1 among zeros."""
    if x.ndim != 2 or x.shape[1] < 2 or len(x) <= x.shape[1]:
        return False
    return bool(np.all((x == 0) | (x == 1)) and np.all(np.sum(x != 0, axis=1) == 1))


def _read_mat(path: Path) -> dict[str, np.ndarray]:
    import scipy.io

    size = check_mat(path)
    try:
        with warnings.catch_warnings():  # on the kind of sparse matrix, and on what is wrong with a damaged file
            warnings.simplefilter("ignore")
            content = scipy.io.loadmat(path)
    except NotImplementedError as error:
        raise InputError(f"{path} is a MATLAB 7.3 file, which can't be read: save it with -v7") from error
    except Exception as error:  # whatever a damaged file makes of the reader
        raise InputError(f"{path} can't be read as a MATLAB file: it is another format, or damaged") from error
    found = {key: value for key, value in content.items() if not key.startswith("__")}
    for key, value in found.items():
        if hasattr(value, "toarray"):
            what = f"the sparse matrix {key} of {path}"
            check_expansion(
                math.prod(value.shape) * value.dtype.itemsize, size, what, "pass it in Python, to jaxdc.fit"
            )
    return {
        key: value.toarray() if hasattr(value, "toarray") else np.asarray(value) for key, value in found.items()
    }


def _views_in(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numeric arrays with two or more axes; those in a cell are named by their position in it."""
    views: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        if array.dtype == object:
            cells = {f"{key}{i}": np.asarray(cell) for i, cell in enumerate(array.reshape(-1))}
            views.update({name: cell for name, cell in cells.items() if _is_view(cell)})
        elif _is_view(array):
            views[key] = array
    return views


def _is_view(x: np.ndarray) -> bool:
    return x.dtype.kind in "biuf" and x.ndim >= 2 and x.size > 1


def _chosen(views: Mapping[str, np.ndarray], chosen: str, name: str) -> dict[str, np.ndarray]:
    names, found = list(views), {}
    for one in filter(None, (part.strip() for part in chosen.split(","))):
        if one not in views and one.isdecimal() and int(one) < len(names):
            one = names[int(one)]
        if one not in views:
            places = "0" if len(names) == 1 else f"0 to {len(names) - 1}"
            raise InputError(f"{name} has no view {one}; it has {', '.join(names)}, or by position {places}")
        if one in found:
            raise InputError(f"--views {chosen} selects view {one} of {name} twice")
        found[one] = views[one]
    if not found:
        raise InputError(f"--views is empty: select from the views of {name}, which are {', '.join(names)}")
    return found


def _labels(y: np.ndarray, path: Path) -> np.ndarray:
    if y.size != max(y.shape, default=0) or y.dtype.kind not in "biufSU":
        raise InputError(f"the labels of {path} must be one class per sample, but their shape is {list(y.shape)}")
    return y.reshape(-1)


def _upright(views: dict[str, np.ndarray], n_labels: int | None) -> dict[str, np.ndarray]:
    """Transposes views if needed, so that samples are rows."""
    n = n_labels
    if n is None:  # the length shared by all views, rows first
        sides = [axis for axis in (0, -1) if len({x.shape[axis] for x in views.values()}) == 1]
        n = next(iter(views.values())).shape[sides[0]] if sides else None
    return {view: np.moveaxis(x, -1, 0) if x.shape[0] != n == x.shape[-1] else x for view, x in views.items()}


def _flat(x: np.ndarray, name: str) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {x.dtype} values, but clustering needs numbers")
    if x.ndim < 2:
        raise InputError(f"{name} has shape {list(x.shape)}, but a view must be [n, d] or images")
    x = x.reshape(len(x), -1).astype(np.float32)
    check_finite(x, name)
    return x


def only_views(source: Source, chosen: str) -> Source:
    """Selects views of a source; InputError if it has none."""
    if not isinstance(source, ViewsSource):
        raise InputError(f"{source.name} has no separate views to select {chosen!r} from")
    return source.only(chosen)
