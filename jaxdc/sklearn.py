"""scikit-learn estimators: a class for every method that clusters one matrix or images.

    from jaxdc.sklearn import DEC
    labels = DEC(n_clusters=10, random_state=0).fit_predict(X)

``X`` is a matrix ``[n, d]``, dense or sparse, or images ``[n, height, width]`` with or without channels; some
methods take only images. A sparse matrix is dense on the device, and on the host if it is small (2 GiB). The
parameters of a class are the hyper-parameters of its method and, if it is trained, those of the training;
``fit`` is ``jaxdc.fit``. Methods for several views (CMSC-DCCA) have no class: scikit-learn's ``X`` is one matrix.

There is no ``score``: the losses of two settings are not comparable, and a collapsed code has the best distances
within clusters. Pass a scoring to a grid search: ``scoring="adjusted_rand_score"`` if labels serve as ``y`` (they
never enter training), or your own function, such as the silhouette of ``X`` under ``model.predict(X)``.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

import jax
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from jaxdc import methods
from jaxdc.data import ArraySource, Source
from jaxdc.data.sparse import SparseSource
from jaxdc.methods.base import Schedule
from jaxdc.methods.base.helps import helps_of
from jaxdc.runs.fit import fit
from jaxdc.runs.result import Result
from jaxdc.settings import plain


@dataclasses.dataclass(kw_only=True)
class _Run:
    """Parameters of every class, besides the hyper-parameters.

    Attributes:
      random_state: random seed, a ``numpy.random.RandomState``, or None for a different seed at each fit.
      n_devices: devices to compute on; None uses all, or one if there are fewer samples than devices.
      verbose: show a progress bar.
    """

    random_state: Any = None
    n_devices: int | None = None
    verbose: bool = False


@dataclasses.dataclass(kw_only=True)
class _Training:
    """Parameters of methods that are trained.

    Attributes:
      recipe: "fast", "paper" for the paper's settings, or another recipe of the method.
      epochs: passes over the data for the last stage; None uses the recipe's.
      pretrain_epochs: passes over the data for each stage before it; None uses the recipe's.
      batch_size: global batch size, limited to the number of samples; None uses the recipe's.
      learning_rate: learning rate of the last stage; None uses the recipe's.
      init_from: run folder of a finished run to start from, such as one of SimCLR for SCAN.
    """

    recipe: str = "fast"
    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    init_from: str | None = None


class Clusterer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """Common base of all classes here; a method makes it concrete.

    Attributes:
      labels_: cluster of each training sample, int32 ``[n_samples]``.
      result_: the ``jaxdc.Result``: ``probabilities``, ``embeddings``, ``metrics``, ``history``, ``save``.
      n_features_in_: number of columns of ``X``, or of values in an image.
      feature_names_in_: names of the columns, if ``X`` is a table that has them.
    """

    _method: ClassVar[type[methods.Method]]

    n_clusters: int
    random_state: Any
    n_devices: int | None
    verbose: bool
    labels_: np.ndarray
    result_: Result
    n_features_in_: int

    if TYPE_CHECKING:

        def __init__(self, n_clusters: int = 8, **parameters: Any): ...

    def fit(self, X: Any, y: Any = None):
        """Clusters ``X``; ``y`` is ignored.

        Raises:
          ValueError: the data or the parameters are invalid; the message says how.
        """
        del y
        source = self._source(X, first=True)
        settings = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self._method)}
        method = self._method(**settings)
        if source.n_samples < method.n_clusters and not method.finds_n_clusters:
            raise ValueError(f"n_samples={source.n_samples} should be >= n_clusters={method.n_clusters}.")
        devices = self._devices(source.n_samples)
        training = {f.name: plain(getattr(self, f.name, None)) for f in dataclasses.fields(_Training)}
        recipe, init_from = training.pop("recipe") or "fast", training.pop("init_from")
        most = source.n_samples // len(devices) * len(devices)
        self.result_ = fit(
            method,
            source,
            recipe=recipe,
            init_from=init_from,
            schedule=Schedule(**training, max_batch_size=most),
            seed=self._seed(),
            progress=bool(self.verbose),
            devices=devices,
        )
        self.labels_ = self.result_.labels
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Clusters, int32 ``[n_samples]``, of new samples in the format of the training data."""
        return self._predict("predict", X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, float32 ``[n_samples, n_clusters]``."""
        return self._predict("predict_proba", X)

    def transform(self, X: Any) -> np.ndarray:
        """Features, float32 ``[n_samples, d]``: what the method clusters."""
        return self._predict("embed", X)

    def _predict(self, what: str, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return getattr(self.result_, what)(self._source(X, first=False))

    def _source(self, X: Any, *, first: bool) -> Source:
        """``X`` validated with scikit-learn's messages; matrices become float32, uint8 images are unchanged."""
        least = 2 if first else 1
        X = X if hasattr(X, "ndim") else np.asarray(X)
        if X.ndim > 2:
            X = check_array(
                X, ensure_2d=False, allow_nd=True, ensure_min_samples=least, input_name="X", estimator=self
            )
            if first:
                self.n_features_in_ = math.prod(X.shape[1:])
        else:
            formats = False if self._method.images_only else "csr"
            X = validate_data(
                self, X, reset=first, dtype=np.float32, accept_sparse=formats, ensure_min_samples=least
            )
        if self._method.non_negative:
            check_non_negative(X, type(self).__name__)
        return SparseSource(X, name="X") if sparse.issparse(X) else ArraySource(X, name="X")

    def _devices(self, n_samples: int) -> list[Any]:
        devices = jax.devices()
        if self.n_devices is None:
            return devices if n_samples >= len(devices) else devices[:1]
        if not 1 <= self.n_devices <= len(devices):
            raise ValueError(f"n_devices must be from 1 to {len(devices)}, or None, but is {self.n_devices!r}.")
        return devices[: self.n_devices]

    def _seed(self) -> int:
        generator = check_random_state(self.random_state)
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(generator.randint(np.iinfo(np.int32).max))

    @property
    def _n_features_out(self) -> int:
        return self.result_.embeddings.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = tags.input_tags.sparse = not self._method.images_only
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = self._method.non_negative
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _estimator(method: type[methods.Method]) -> type[Clusterer]:
    """Builds the estimator class of a method: ``__init__`` stores the parameters of method and training."""
    owners = (method, *((_Training,) if method.is_trained else ()), _Run)
    fields, helps = [], []
    for owner in owners:
        hints, texts = get_type_hints(owner), helps_of(owner)
        for field in dataclasses.fields(owner):
            first = field.name == "n_clusters"
            asked = first and field.default is dataclasses.MISSING
            default = 8 if asked else field.default  # as in scikit-learn
            fields.append((field.name, hints[field.name], dataclasses.field(default=default, kw_only=not first)))
            helps.append(f"  {field.name}: {texts[field.name]}")
    about = [(method.__doc__ or "").strip().splitlines()[0], "", "Args:", *helps, ""]
    attributes = inspect.cleandoc(Clusterer.__doc__ or "").partition("\n\n")[2]
    namespace = {"__doc__": "\n".join(about) + "\n" + attributes, "__module__": __name__, "_method": method}
    return dataclasses.make_dataclass(
        method.__name__, fields, bases=(Clusterer,), namespace=namespace, eq=False, repr=False
    )


CLASSES = {
    entry.method.__name__: _estimator(entry.method)
    for entry in methods.entries()
    if entry.is_listed and not entry.settings and entry.method.n_views == 1
}
globals().update(CLASSES)

if TYPE_CHECKING:

    def __getattr__(name: str) -> type[Clusterer]: ...
