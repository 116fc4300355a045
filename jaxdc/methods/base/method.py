"""The base class of a clustering method (hyper-parameters and five functions), and training stages."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.methods.base.fields import check_fields, field
from jaxdc.methods.base.graph import Graph
from jaxdc.methods.base.optimizer import Optimizer

Batch = dict[str, jax.Array]
Aux = Any


class DataSpec(NamedTuple):
    """Everything a method may know about its data in advance.

    Attributes:
      shape: shape of one sample: ``(d,)``, or ``(height, width, channels)``.
      n_samples: size of the data set.
      rms: root mean square of the values that the method receives, less ``offset``.
      n_reported: number of leading samples that results are reported for; None: all.
      dtype: dtype of the samples in the source: uint8, float32, or int32 for token ids.
      widths: widths of the views whose columns are concatenated in a sample; None: a single view.
      graph: the edges between the samples, of a network; None: other data. The graph of a loaded run has the right
        number of edges, but not the edges, which are in ``aux``.
      offset: value that says nothing, such as the mean of a normalized recording.
    """

    shape: tuple[int, ...]
    n_samples: int
    rms: float = 1.0
    n_reported: int | None = None
    dtype: str = "float32"
    widths: tuple[int, ...] | None = None
    graph: Graph | None = None
    offset: float = 0.0

    @property
    def reported(self) -> DataSpec:
        """The specification of the reported samples alone."""
        if self.n_reported is None:
            return self
        return self._replace(n_samples=self.n_reported, n_reported=None)


class Ending(NamedTuple):
    """Why a stage ends early, in words; ``warns``: whether to report it as a warning."""

    reason: str
    warns: bool = False


class Clustered(NamedTuple):
    """What the stage before, or a saved run, has found in the samples that a stage is about to see.

    Attributes:
      embeddings: features ``[n, d]``, in index order.
      probabilities: cluster probabilities ``[n, k]``.
      name: name for messages.
    """

    embeddings: jax.Array
    probabilities: jax.Array
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method(abc.ABC):
    """Hyper-parameters and five functions. See docs/adding-a-method.md for a walk-through.

    A batch is ``{"x": [b, ...], "index": [b]}``: samples as float32 (uint8 images come divided by
    255; token ids are int32) and their rows in the data set; a method that draws pairs finds their
    partners beside them. ``"step"`` and ``"epoch"`` of the stage, int32, are for a method that
    alternates. It holds no labels. Inside these functions the model is an
    ordinary, mutable NNX module; outside, in the loop and on disk, it is a pytree.

    Refreshes: with ``refresh_steps`` or ``refresh_epochs`` set (never both), ``refresh`` runs at the
    start of the stage and then at this interval. With neither, or with ``refresh_last``, ``finish`` runs at the
    end of the last stage of the run.

    Attributes:
      n_clusters: number of clusters, k.
    """

    n_clusters: int = field(at_least=2)

    refresh_steps: ClassVar[int | None] = None
    refresh_epochs: ClassVar[float | None] = None
    tolerance: ClassVar[float | None] = None  # end the stage when a smaller share changes cluster
    refresh_last: ClassVar[bool] = False  # refresh once more at the end of the run, whatever the interval
    reads_tokens: ClassVar[bool] = False  # samples may be token ids
    images_only: ClassVar[bool] = False  # samples must be images
    non_negative: ClassVar[bool] = False  # values must be at least 0
    n_views: ClassVar[int] = 1  # number of matrices that a sample must consist of
    is_trained: ClassVar[bool] = True  # False for a method without gradient steps
    full_batch: ClassVar[bool] = False  # every batch is the whole data set, in index order
    embeds_together: ClassVar[bool] = False  # features depend on all samples; only those of training have any
    finds_n_clusters: ClassVar[bool] = False  # n_clusters is a limit, and the data say how many there are
    generates: ClassVar[bool] = False  # ``generate`` draws new samples of a cluster
    clusters: ClassVar[bool] = True  # False for a stage that only prepares the next one's encoder
    inherits: ClassVar[tuple[str, ...]] = ("encoder",)  # parts taken over from the stage before, if it has them
    requires: ClassVar[tuple[str, ...]] = ("encoder",)  # inherited parts that the stage before must have
    lesson: ClassVar[str] = ""  # what a batch must hold to be learnt from, in words: ``learns``
    takes_clusters: ClassVar[bool] = False  # begins with the clusters of the stage before: ``take_clusters``
    sharded: ClassVar[tuple[str, ...]] = ()  # matrices [n, d] in aux of which a device keeps a part
    recipe_names: ClassVar[tuple[str, ...]] = ("fast", "paper")

    def __post_init__(self):
        check_fields(self)
        if self.refresh_steps is not None and self.refresh_epochs is not None:
            raise InputError("set refresh_steps or refresh_epochs, not both")

    @abc.abstractmethod
    def init(self, key: jax.Array, spec: DataSpec) -> tuple[nnx.Module, Aux]:
        """Builds the network and the gradient-free state.

        ``aux`` is a pytree of arrays whose structure, shapes and dtypes never change.
        """

    @abc.abstractmethod
    def loss(self, model: Any, aux: Aux, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Aux, dict]]:
        """The loss on one global batch: a scalar, then (new aux, metrics). Traced."""

    def embed(self, model: Any, aux: Aux, batch: Batch) -> jax.Array:
        """Features [b, d] in evaluation mode. Traced."""
        del aux
        return model.encoder(batch["x"])

    def draw(self, aux: Aux, key: jax.Array, n_samples: int) -> jax.Array:
        """The rows of an epoch, in order: [n], or [n, 2] with the row of each sample's partner. Traced.

        Partners are added to the batch as ``"neighbor"`` and ``"neighbor_index"``. The epoch is drawn when it
        starts and after every refresh, and may depend only on what the refresh put into ``aux``.
        """
        del aux
        return jnp.arange(n_samples) if self.full_batch else jax.random.permutation(key, n_samples)

    def refresh(self, model: Any, aux: Aux, features: jax.Array, key: jax.Array) -> tuple[Any, Aux]:
        """Updates what depends on the whole data set, given its features [n, d] in index order.

        Runs outside jit, so control flow may depend on values. On several devices the features are sharded, over
        the rows if the devices divide n and over the columns otherwise: ``sharding.to_host`` brings them to the
        host. A parameter that it replaces gets a fresh optimizer state.
        """
        del features, key
        return model, aux

    def finish(self, model: Any, aux: Aux, features: jax.Array, key: jax.Array) -> tuple[Any, Aux]:
        """The last refresh of a run, which gives the reported clusters; by default an ordinary refresh.

        A method that reports the best of many k-means runs makes them here, and one run at every other refresh.
        """
        return self.refresh(model, aux, features, key)

    def learns(self, metrics: dict[str, jax.Array]) -> jax.Array | None:
        """Whether to learn from a batch with these metrics; if not, the step changes only its count.

        None: learn from every batch. Traced. If no batch is learnt from for long, the loop warns that none had a
        ``lesson``.
        """
        del metrics
        return None

    def alternatives(self, model: Any, aux: Aux, features: jax.Array) -> dict[str, jax.Array]:
        """Other clusterings [n, k] of the training samples that the paper reports, by name; scored, not kept."""
        del model, aux, features
        return {}

    def ending(self, aux: Aux) -> Ending | None:
        """Called after every refresh: the reason to end the stage now, or None."""
        del aux
        return None

    def warning(self, aux: Aux) -> str | None:
        """Called after every refresh: a sentence about something wrong that the user should hear of, or None."""
        del aux
        return None

    def chance(self, batch_size: int, spec: DataSpec) -> dict[str, float]:
        """Metric values of constant outputs, by metric name: "loss", or a part of it.

        If a metric stays there, the loop warns that the network is not learning.
        """
        del batch_size, spec
        return {}

    def parts(self, model: Any, aux: Aux) -> dict[str, nnx.Module]:
        """Named parts that a later stage may take over."""
        del aux
        return {name: part for name, part in vars(model).items() if isinstance(part, nnx.Module)}

    def take_clusters(self, model: Any, aux: Aux, before: Clustered) -> tuple[Any, Aux]:
        """Begins with the clusters of the stage before, whose parts ``model`` has taken over already.

        Called once, before the first refresh, if ``takes_clusters``. Runs outside jit.
        """
        del before
        return model, aux

    @abc.abstractmethod
    def assign(self, model: Any, aux: Aux, features: jax.Array) -> jax.Array:
        """Probabilities [n, k] for features [n, d], each row independently. Traced."""

    def generate(self, model: Any, aux: Aux, clusters: jax.Array, key: jax.Array) -> jax.Array:
        """Draws a new sample of each of these clusters [m]: [m, ...], as in ``batch["x"]``. Traced.

        Only a method that ``generates`` has it.
        """
        raise NotImplementedError(f"{type(self).__name__} draws no samples")

    @abc.abstractmethod
    def stages(self, recipe: str, spec: DataSpec) -> tuple[Stage, ...]:
        """The stages of a recipe, the last with this method.

        ``"paper"`` has the paper's settings, ``"fast"`` is shorter.
        """

    def for_length(self, epochs: float) -> Method:
        """The method for a stage of this length: fills in only unset fields that depend on it.

        Called once all lengths are known, after ``--epochs`` and similar options.
        """
        del epochs
        return self

    def refresh_steps_for(self, n_samples: int) -> int | None:
        """``refresh_steps``, or the value that None means for a data set of this size."""
        del n_samples
        return self.refresh_steps

    @property
    def epochs_between_refreshes(self) -> float | None:
        """``refresh_epochs``, or the value that None means."""
        return self.refresh_epochs

    def check_batch_size(self, batch_size: int, spec: DataSpec) -> None:
        """Raises InputError for a batch size that this method can't be trained with."""
        del batch_size, spec

    def batch_size_warning(self, batch_size: int, spec: DataSpec) -> str | None:
        """A sentence about a batch size that the method can be trained with, but hardly well, or None."""
        del batch_size, spec
        return None

    def check_files(self, spec: DataSpec) -> None:
        """Raises InputError if a file that the method needs besides the data is invalid."""
        del spec

    def device_bytes(self, n_samples: int) -> int:
        """Peak bytes on each device of what grows faster than the data.

        A stage that needs too much is rejected before it starts. The result must increase with ``n_samples``; 0
        means that nothing grows faster than the data.
        """
        del n_samples
        return 0

    def check_length(self, epochs: float) -> None:
        """Raises InputError for a number of epochs that makes no sense for this method."""
        del epochs

    def check_recipe(self, recipe: str) -> None:
        """Raises InputError for a recipe that this method does not have."""
        if recipe not in self.recipe_names:
            raise InputError(f"unknown recipe {recipe!r}: use {' or '.join(self.recipe_names)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A method and how to train it; it takes over the encoder of the stage before it.

    Attributes:
      method: the method with its hyper-parameters.
      epochs: passes over the data, possibly a fraction. Exactly one of ``epochs`` and ``steps`` is set.
      steps: gradient steps.
      batch_size: global batch size over all devices and processes; ``full_batch`` methods ignore it and take
        all samples.
      optimizer: settings of the optimizer.
      reported_only: leave out samples that are not reported, such as STL-10's unlabelled ones.
    """

    method: Method
    epochs: float | None = field(None, at_least=0)
    steps: int | None = field(None, at_least=0)
    batch_size: int = field(256, at_least=1)
    optimizer: Optimizer = Optimizer()
    reported_only: bool = False

    def __post_init__(self):
        if (self.epochs is None) == (self.steps is None):
            raise InputError("a stage needs either epochs or steps, but not both")
        check_fields(self)

    def part_of(self, spec: DataSpec) -> DataSpec:
        """The specification of the data that this stage sees."""
        return spec.reported if self.reported_only else spec

    def batch_for(self, n_samples: int) -> int:
        """Global batch size on a data set of this size."""
        return n_samples if self.method.full_batch else self.batch_size

    def steps_per_epoch(self, n_samples: int) -> int:
        """Full batches in one pass; leftover samples wait for the next shuffle."""
        return max(n_samples // self.batch_for(n_samples), 1)

    def n_steps(self, n_samples: int) -> int:
        """Length of the stage in gradient steps."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return round(self.epochs * self.steps_per_epoch(n_samples))

    def refresh_interval(self, n_samples: int) -> int | None:
        """Steps between two refreshes, or None if the method has none."""
        steps = self.method.refresh_steps_for(n_samples)
        if steps is not None:
            return steps
        epochs = self.method.epochs_between_refreshes
        return None if epochs is None else max(round(epochs * self.steps_per_epoch(n_samples)), 1)


def check_image_shape(spec: DataSpec, what: str) -> None:
    """Raises InputError if the samples are not images."""
    if len(spec.shape) != 3:
        raise InputError(
            f"{what} needs images [height, width, channels], but a sample of this data has shape {spec.shape}"
        )


def fast_steps(spec: DataSpec, *, epochs: float, at_least: int, batch_size: int = 256) -> int:
    """The steps of a number of epochs, but at least as many as a small data set needs."""
    return max(round(epochs * spec.n_samples / batch_size), at_least)
