"""The result of a run: clusters, features, and a model for new samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import metrics
from jaxdc.data import ArraySource, Source, StandardizedSource
from jaxdc.data.deep_images import check_divisors
from jaxdc.data.frames import is_frame, is_series_of_texts, source_of_frame
from jaxdc.data.sources import checked_labels
from jaxdc.data.sparse import SparseSource
from jaxdc.data.tables import NO_LABEL, in_order
from jaxdc.data.text import Documents, Fitted, TextSource, TfIdf
from jaxdc.distributed import sharding
from jaxdc.embed import in_memory
from jaxdc.errors import InputError
from jaxdc.float32 import in_float32
from jaxdc.methods.base import Experiment
from jaxdc.reading import read_array, read_json
from jaxdc.runs import runfolder
from jaxdc.runs.checksums import check_checksums
from jaxdc.runs.config import digest_of_run, encoder_of, experiment_of, read_config, spec_of
from jaxdc.runs.edits import Edits, applied
from jaxdc.runs.progress import read_rows, scores
from jaxdc.train.assignments import make_assign
from jaxdc.train.embedding import make_embed
from jaxdc.train.labels import labels_of
from jaxdc.train.memory import EMBED_BLOCK
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.snapshot import load_trained_state, save_trained_state
from jaxdc.train.stage_run import Trained
from jaxdc.train.state import Handover, TrainState, abstract_state, merge
from jaxdc.writing import full_disk_is_an_input_error


class Prediction(NamedTuple):
    """Part of a data set: rows ``[b]``, features ``[b, d]``, probabilities ``[b, k]``."""

    rows: np.ndarray
    embeddings: np.ndarray
    probabilities: np.ndarray


class Labelled(NamedTuple):
    """Samples with a class: features ``[m, d]``, probabilities ``[m, k]``, classes ``[m]``."""

    embeddings: np.ndarray
    probabilities: np.ndarray
    labels_true: np.ndarray


class Result:
    """A finished run.

    Attributes:
      experiment: its stages.
      method: the method that produced the clusters, with its hyper-parameters.
      labels: cluster of each training sample, int32 ``[n]``; -1 for one that belongs nowhere.
      probabilities: cluster probabilities, float32 ``[n, k]``; zeros for a sample that belongs nowhere.
      embeddings: features, float32 ``[n, d]``.
      metrics: the content of ``metrics.json``.
      history: one dictionary per line of ``metrics.jsonl``.
      config: the content of ``config.json``.
      sample_names: names of the samples, or None.
      fitted: fitted text vectoriser of a run on texts, else None.
      encoder: encoder of a run on embedded images, else None.
      edits: changes to the clusters after the training, which labels, probabilities and predictions include.
    """

    def __init__(
        self,
        *,
        experiment: Experiment,
        config: dict[str, Any],
        metrics: dict[str, Any],
        history: list[dict[str, Any]],
        embeddings: np.ndarray,
        probabilities: np.ndarray,
        sample_names: Sequence[str] | None,
        fitted: Fitted | None,
        graphdef: nnx.GraphDef,
        state: TrainState,
        edits: Edits = Edits(),  # noqa: B008
    ):
        self.fitted, self.encoder = fitted, encoder_of(config)
        self.config, self.metrics, self.history = config, metrics, history
        self.embeddings, self.sample_names = embeddings, sample_names
        self.edits, self._trained_probabilities = edits, probabilities
        self._k = probabilities.shape[1]  # fewer than n_clusters if the method has found them
        self.probabilities, self._edit = edits.replay(embeddings, probabilities)
        self.labels = labels_of(self.probabilities)
        self.experiment, self.method = experiment, experiment.stages[-1].method
        self._compile(graphdef, state)

    def _compile(self, graphdef: nnx.GraphDef, state: TrainState) -> None:
        self._state, self._mesh = state, jax.tree.leaves(state)[0].sharding.mesh
        self._graphdef = graphdef
        self._embed = make_embed(self.method, graphdef, self._mesh)
        self._assign = make_assign(self.method, graphdef, self._mesh)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: the arrays, on the host; the network is rebuilt on loading."""
        compiled = ("_graphdef", "_mesh", "_embed", "_assign")
        kept = {name: value for name, value in vars(self).items() if name not in compiled}
        leaves = [_on_host(leaf) for leaf in jax.tree.leaves(self._state)]
        return {**kept, "_state": leaves, "n_devices": self._mesh.size}

    @in_float32
    def __setstate__(self, kept: dict[str, Any]) -> None:
        """Restores on as many devices as before, or on all if there are fewer."""
        leaves, n_devices = kept.pop("_state"), kept.pop("n_devices")
        vars(self).update(kept)
        mesh = sharding.make_mesh(jax.devices()[:n_devices])
        stage = self.experiment.stages[-1]
        part = stage.part_of(spec_of(self.config))
        graphdef, like = abstract_state(self.method, make_optimizer(stage, part.n_samples), part, mesh)
        state = jax.tree.unflatten(jax.tree.structure(like), [_from_host(*leaf) for leaf in leaves])
        self._compile(graphdef, sharding.replicate(state, mesh))

    @property
    def n_clusters(self) -> int:
        """The number of clusters, without those that were merged into others or dropped."""
        return self.probabilities.shape[1] - len(self.edits.removed)

    def predict(self, x: Any) -> np.ndarray:
        """Clusters, int32 ``[n]``, of new samples ``[n, ...]`` or texts, in the format of the training data.

        -1 marks a sample that belongs nowhere: see ``jaxdc.edit``.
        """
        return labels_of(self.predict_proba(x))

    def predict_proba(self, x: Any) -> np.ndarray:
        """Probabilities ``[n, k]`` of new samples ``[n, ...]``."""
        return np.concatenate([part.probabilities for part in self.predict_source(self._as_source(x))])

    def embed(self, x: Any) -> np.ndarray:
        """Features ``[n, d]`` of new samples ``[n, ...]``."""
        return np.concatenate([part.embeddings for part in self.predict_source(self._as_source(x))])

    def predict_source(self, source: Source) -> Iterator[Prediction]:
        """Predicts in blocks, in order, so that memory does not grow with the data."""
        source = self.prepared(source)
        block = EMBED_BLOCK * self._mesh.size
        if self.method.embeds_together:
            self._check_same(source)
            block = source.n_samples
        for x, rows in source.blocks(block, shard=(0, 1)):
            self._check_range(x, source)
            padded = np.pad(x, ((0, block - len(x)), *((0, 0) for _ in x.shape[1:])))
            embeddings, probabilities = (one[: len(x)] for one in self._predict_block(padded))
            yield Prediction(rows, embeddings, applied(self._edit, embeddings, probabilities))

    @in_float32
    def _predict_block(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features = self._embed(self._state, sharding.replicate(x, self._mesh))
        return np.asarray(features), np.asarray(self._assign(self._state, features))[:, : self._k]

    @in_float32
    def sample(self, clusters: Sequence[int], *, seed: int = 0) -> np.ndarray:
        """Draws new samples ``[m, ...]`` as in training, one of each of these clusters ``[m]``.

        Images that were trained on as uint8 are uint8, and standardized columns have their own units again. A
        cluster that was merged of several is drawn from each of them in proportion to their samples.

        Raises:
          InputError: the method can't draw samples, there is no such cluster, or it was divided after the
            training.
        """
        if not self.method.generates:
            raise InputError(
                f"{type(self.method).__name__} can't draw new samples of a cluster: train vade, which has a "
                "distribution for each"
            )
        sizes = np.bincount(labels_of(self._trained_probabilities), minlength=self._k)
        rng = np.random.default_rng(seed)
        drawn = []
        for cluster in clusters:
            parts = self.edits.parts_of(int(cluster), self._k)
            weights = sizes[parts] + 1e-9  # all of them may be empty
            drawn.append(parts[rng.choice(len(parts), p=weights / weights.sum())])
        x = np.asarray(jax.jit(self._generate)(self._state, jnp.asarray(drawn, jnp.int32), jax.random.key(seed)))
        data = self.config["run"]["data"]
        if data["dtype"] == "uint8":
            return np.round(np.clip(x, 0, 1) * 255).astype(np.uint8)
        if data["standardized"] is not None:
            mean, std = (np.array(data["standardized"][name], np.float32) for name in ("mean", "std"))
            return x * std + mean
        return x

    def _generate(self, state: TrainState, clusters: jax.Array, key: jax.Array) -> jax.Array:
        return self.method.generate(merge(self._graphdef, state), state.aux, clusters, key)

    def score(self, source: Source) -> dict[str, Any]:
        """ACC, NMI, ARI and purity on any source with labels, not only on the training samples.

        Samples that belong nowhere count as one more cluster; without them the scores are under ``"kept"``.
        """
        if source.labels is None:
            raise InputError(f"{source.name} has no labels to score with; use predict for unlabelled data")
        _, probabilities, labels_true = self.predict_labelled(source)
        labels = labels_of(probabilities)
        found = _scored(labels_true, labels)
        kept = labels >= 0
        if not kept.all() and kept.any():
            found["kept"] = _scored(labels_true[kept], labels[kept])
        return found

    def predict_labelled(self, source: Source) -> Labelled:
        """Features, probabilities and classes of all labelled samples of a source, in memory."""
        assert source.labels is not None
        parts = zip(*self.predict_source(source), strict=True)
        rows, embeddings, probabilities = (np.concatenate(part) for part in parts)
        has_class = rows < len(source.labels)
        return Labelled(embeddings[has_class], probabilities[has_class], source.labels[rows[has_class]])

    def save(self, folder: str | Path) -> None:
        """Writes a run folder for ``jaxdc.load`` and the command line.

        Raises:
          InputError: the folder holds another run, or is not writable.
        """
        folder = Path(folder)
        if runfolder.is_finished(folder, self.config, fresh=False):
            return
        runfolder.begin(folder, self.config, fresh=False, fitted=self.fitted)
        with full_disk_is_an_input_error(folder):
            (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.history))
        run = digest_of_run(folder)
        save_trained_state(folder / "checkpoints", self.experiment, self._state, self.labels, run=run)
        self.write(folder)

    def write(self, folder: Path) -> None:
        """Writes the result files into a run folder that already has its checkpoints."""
        runfolder.write_results(
            folder,
            embeddings=self.embeddings,
            probabilities=self._trained_probabilities,
            sample_names=self.sample_names,
            metrics=self.metrics,
        )
        self.edits.write(folder)

    @in_float32
    def handover(self, run: str) -> Handover:
        """The parts that a stage of another run may take over; ``run`` names this run in messages."""
        return Handover.of(
            self.method,
            merge(self._graphdef, self._state),
            self._state.aux,
            lambda: (self.embeddings, self.probabilities),
            run=run,
            data=self.config["run"]["data"]["fingerprint"],
        )

    def _as_source(self, x: Any) -> Source:
        if self.fitted is None and not isinstance(x, Source) and (are_texts(x) or is_series_of_texts(x)):
            raise InputError("the samples are texts, but this run was not trained on texts")
        return as_source(x, fitted=self.fitted)

    def prepared(self, source: Source) -> Source:
        """The source in the format of training: validated, embedded, its columns in order, standardized."""
        if self.encoder is not None and source.encoder is None and len(source.shape) == 3:
            source = in_memory(source, self.encoder, devices=list(self._mesh.devices.flat))
        if self.encoder is not None and source.encoder not in (None, self.encoder):
            raise InputError(
                f"{source.name} holds embeddings by {source.encoder}, but this run was trained on those by "
                f"{self.encoder}"
            )
        understood = self.config.get("understood", {})
        check_divisors(source, understood.get("divisors"))
        source = in_order(source, understood.get("columns"))
        expected = tuple(self.config["run"]["data"]["shape"])
        if tuple(source.shape) != expected:
            raise InputError(
                f"{source.name} has samples of shape {list(source.shape)}, but this run was trained on "
                f"{list(expected)}"
            )
        statistics = self.config["run"]["data"]["standardized"]
        if statistics is None or isinstance(source, StandardizedSource):
            return source
        return StandardizedSource(source, np.array(statistics["mean"]), np.array(statistics["std"]))

    def _check_same(self, source: Source) -> None:
        if source.fingerprint() != self.config["run"]["data"]["fingerprint"]:
            raise InputError(
                f"{source.name} is not the network of this run: the features of a node depend on all the others, "
                f"so {type(self.method).__name__} has clusters for the nodes of its training only; train again "
                "with the new nodes and their edges"
            )

    def _check_range(self, x: np.ndarray, source: Source) -> None:
        trained_on_uint8 = self.config["run"]["data"]["dtype"] == "uint8"
        if x.dtype == np.uint8 and not trained_on_uint8:
            raise InputError(
                f"{source.name} holds uint8 images, but this run was trained on floats: "
                "pass floats on the same scale"
            )
        if trained_on_uint8 and x.dtype != np.uint8 and x.max() > 1.001:
            raise InputError(
                f"{source.name} has values up to {x.max():g}, but this run was trained on uint8 images: "
                "pass uint8, or floats from 0 to 1"
            )


def _scored(labels_true: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    purity = metrics.purity_score(labels_true, labels)
    return {**scores(labels_true, labels), "purity": purity, "n_samples": len(labels)}


def _on_host(leaf: jax.Array) -> tuple[np.ndarray, str | None]:
    """An array on the host, and the implementation if it holds random keys."""
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf)), str(jax.random.key_impl(leaf))
    return np.asarray(leaf), None


def _from_host(x: np.ndarray, impl: str | None) -> Any:
    return x if impl is None else jax.random.wrap_key_data(jnp.asarray(x), impl=impl)


def result_of(
    trained: Trained,
    experiment: Experiment,
    config: dict[str, Any],
    metrics: dict[str, Any],
    history: list[dict[str, Any]],
    source: Source,
) -> Result:
    """The result of a run that has just finished."""
    return Result(
        experiment=experiment,
        config=config,
        metrics=metrics,
        history=history,
        embeddings=trained.embeddings,
        probabilities=trained.probabilities,
        sample_names=source.sample_names,
        fitted=source.fitted,
        graphdef=trained.graphdef,
        state=trained.state,
    )


@in_float32
def load(
    folder: str | Path,
    *,
    devices: Sequence[Any] | None = None,
    methods: Iterable[type] = (),
    embed: Callable[[list[str]], Any] | None = None,
    edited: bool = True,
) -> Result:
    """Loads a finished run folder, on any devices.

    A run folder is data: loading never imports or executes anything that it names.

    Args:
      folder: the run folder.
      devices: devices to predict on (default: all).
      methods: classes used by the run that are not part of jaxdc, such as your own method.
      embed: function that embedded the texts, if the run used one.
      edited: apply the edits of ``jaxdc edit``; False gives the clusters of the training.

    Raises:
      InputError: the folder is not a run folder, the run is not finished, or a file is damaged.
    """
    folder, methods = Path(folder), tuple(methods)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    config = read_config(folder, own=methods)
    if not (folder / "metrics.json").exists():
        raise InputError(f"the run in {folder} is not finished: run its train command again to resume it")
    check_checksums(folder)
    mesh = sharding.make_mesh(devices)
    experiment, spec = experiment_of(config, methods), spec_of(config)
    sample_names, labels = runfolder.read_assignments(folder / "assignments.csv")
    if len(labels) != (spec.n_reported or spec.n_samples):
        raise InputError(f"{folder / 'config.json'} and assignments.csv differ in the number of samples")
    run = digest_of_run(folder)
    graphdef, state = load_trained_state(folder / "checkpoints", experiment, spec, mesh, run=run)
    arrays = {name: read_array(folder / f"{name}.npy") for name in ("embeddings", "probabilities")}
    metrics = read_json(folder / "metrics.json")
    return Result(
        experiment=experiment,
        config=config,
        metrics=metrics,
        history=read_rows(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else [],
        sample_names=sample_names,
        fitted=runfolder.read_fitted(folder, config, embed),
        graphdef=graphdef,
        state=state,
        edits=Edits.read(folder) if edited else Edits(),
        **arrays,
    )


def as_source(x: Any, labels: Any = None, *, fitted: Fitted | None = None) -> Source:
    """Wraps an array or texts as a source; ``fitted`` vectorises texts as in training."""
    if isinstance(x, Source):
        if labels is not None:
            raise InputError(
                f"{x.name} is a source with its own labels: set them on the source instead of passing them to fit"
            )
        return x
    if isinstance(x, str | Path):
        raise InputError(f"x must be samples, but is the name {str(x)!r}: open it with jaxdc.data.open_source")
    if is_frame(x):
        source = source_of_frame(x, None if labels is None else NO_LABEL)
        if labels is not None:
            source.labels = checked_labels(labels, source.n_samples, source.name)
        return source
    if is_series_of_texts(x):
        x = x.to_list()
    if are_texts(x):
        return TextSource(Documents.of(x, labels), fitted or TfIdf())
    if hasattr(x, "tocsr"):  # a SciPy sparse matrix, detected without importing SciPy
        return SparseSource(x, labels)
    return ArraySource(x, labels)


def are_texts(x: Any) -> bool:
    """Whether ``x`` is a list or an array of texts."""
    return isinstance(x, list | tuple | np.ndarray) and len(x) > 0 and all(isinstance(one, str) for one in x)
