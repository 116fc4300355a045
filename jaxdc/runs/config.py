"""``config.json``: a run as data. Classes are named through a closed table, and reading it imports nothing.

People share run folders. So a method has the name it has on the command line (``"method": "scan"``), an
augmentation has its own name (``"augmentation": "strong"``), and names in no table are rejected. Custom classes
are named as ``"own": "MyMethod"``, and the caller passes them when loading such a run.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdc import augment, methods, nn
from jaxdc.data import Source, StandardizedSource
from jaxdc.data.text import Embedding, FunctionEmbedding, TfIdf, Tokens, Vectorizer, WordClusters
from jaxdc.data.text.skip_gram import SkipGram
from jaxdc.embed import ImageEncoder
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Graph, Optimizer, Stage
from jaxdc.nn.encoders.efficientnet import EfficientNetSettings
from jaxdc.nn.encoders.kinds import ResNetSettings
from jaxdc.nn.encoders.vit import ViTSettings
from jaxdc.nn.pretrained import Pretrained
from jaxdc.reading import read_json
from jaxdc.runs.copies import WithCopies
from jaxdc.runs.links import check_links
from jaxdc.version import __version__

OWN = "own"
UNSAVABLE = (
    "the settings of this experiment can't be saved to config.json: use only numbers, strings, None, tuples of "
    "these, or frozen dataclasses of these"
)
NAMED: dict[str, dict[str, type]] = {
    "augmentation": {
        "original": augment.Original,
        "weak": augment.Weak,
        "strong": augment.Strong,
        "digits": augment.Digits,
        "shifted": augment.Shifted,
        "spectrogram": augment.Spectrogram,
    },
    "backbone": {"resnet": nn.Backbone, "pretrained": Pretrained},
    "network": {"vit": ViTSettings, "resnet": ResNetSettings, "efficientnet": EfficientNetSettings},
    "optimizer": {"optax": Optimizer},
    "encoder": {"image": ImageEncoder},
    "word_model": {"skip-gram": SkipGram},
    "vectorizer": {
        "tfidf": TfIdf,
        "word-clusters": WordClusters,
        "embedding": Embedding,
        "tokens": Tokens,
        "function": FunctionEmbedding,
    },
}
# Import paths in the runs of version 0.1.0. Keep the line of a class that is moved or removed.
OLD_NAMES: dict[str, tuple[str, str]] = {
    "jaxdc.augment.presets:Original": ("augmentation", "original"),
    "jaxdc.augment.presets:Strong": ("augmentation", "strong"),
    "jaxdc.augment.presets:Weak": ("augmentation", "weak"),
    "jaxdc.data.text.embedding:Embedding": ("vectorizer", "embedding"),
    "jaxdc.data.text.embedding:FunctionEmbedding": ("vectorizer", "function"),
    "jaxdc.data.text.embedding:Tokens": ("vectorizer", "tokens"),
    "jaxdc.data.text.skip_gram:SkipGram": ("word_model", "skip-gram"),
    "jaxdc.data.text.tfidf:TfIdf": ("vectorizer", "tfidf"),
    "jaxdc.data.text.word_clusters:WordClusters": ("vectorizer", "word-clusters"),
    "jaxdc.methods.autoencoder:AE": ("method", "ae_kmeans"),
    "jaxdc.methods.autoencoder:StackedLayer": ("method", "stacked_layer"),
    "jaxdc.methods.autoencoder:VAE": ("method", "vae_kmeans"),
    "jaxdc.methods.cc:CC": ("method", "cc"),
    "jaxdc.methods.cmsc_dcca:CMSCDCCA": ("method", "cmsc_dcca"),
    "jaxdc.methods.dec:DEC": ("method", "dec"),
    "jaxdc.methods.deepcluster:DeepCluster": ("method", "deepcluster"),
    "jaxdc.methods.deepcluster_v2:DeepClusterV2": ("method", "deepcluster_v2"),
    "jaxdc.methods.dsc_net:DSCNet": ("method", "dsc_net"),
    "jaxdc.methods.idec:IDEC": ("method", "idec"),
    "jaxdc.methods.idfd:IDFD": ("method", "idfd"),
    "jaxdc.methods.moco:MoCo": ("method", "moco"),
    "jaxdc.methods.pcl:PCL": ("method", "pcl"),
    "jaxdc.methods.scan:SCAN": ("method", "scan"),
    "jaxdc.methods.sccl:SCCL": ("method", "sccl"),
    "jaxdc.methods.selflabel:SelfLabel": ("method", "selflabel"),
    "jaxdc.methods.shallow:_FitNMF": ("method", "fit_nmf"),
    "jaxdc.methods.shallow:_FitPCA": ("method", "fit_pca"),
    "jaxdc.methods.shallow:Agglomerative": ("method", "agglomerative"),
    "jaxdc.methods.shallow:KMeans": ("method", "kmeans"),
    "jaxdc.methods.shallow:NMFKMeans": ("method", "nmf"),
    "jaxdc.methods.shallow:PCAKMeans": ("method", "pca_kmeans"),
    "jaxdc.methods.shallow:Spectral": ("method", "spectral"),
    "jaxdc.methods.simclr:SimCLR": ("method", "simclr"),
    "jaxdc.methods.temi:TEMI": ("method", "temi"),
    "jaxdc.methods.view_autoencoders:ViewAutoencoders": ("method", "view_autoencoders"),
    "jaxdc.nn.backbone:Backbone": ("backbone", "resnet"),
    "jaxdc.stages:Optimizer": ("optimizer", "optax"),
}


@functools.cache
def tables() -> dict[str, dict[str, type]]:
    """The classes that ``config.json`` may name, by kind and name."""
    return {"method": methods.classes(), **NAMED}


@functools.cache
def _names() -> dict[type, tuple[str, str]]:
    return {made: (kind, name) for kind, table in tables().items() for name, made in table.items()}


def describe_run(
    experiment: Experiment,
    source: Source,
    spec: DataSpec,
    *,
    recipe: str,
    seed: int,
    init_from: str | None = None,
) -> dict[str, Any]:
    """The content of ``config.json``. Two runs with equal ``"run"`` entries are the same run."""
    device = jax.devices()[0]
    run = {
        "method": type(experiment.stages[-1].method).__name__,
        "recipe": recipe,
        "seed": seed,
        "init_from": init_from,
        "stages": [describe_stage(stage) for stage in experiment.stages],
        "data": {
            "name": source.name,
            "protocol": source.protocol,
            "shape": list(spec.shape),
            "dtype": str(np.dtype(source.dtype)),
            "n_samples": spec.n_samples,
            "n_reported": spec.n_reported,
            "rms": spec.rms,
            **({"offset": spec.offset} if spec.offset else {}),
            **({"order": source.order} if source.order else {}),
            "fingerprint": source.fingerprint(),
            "standardized": source.statistics if isinstance(source, StandardizedSource) else None,
            "views": None if source.views is None else dict(source.views),
            "n_edges": None if source.graph is None else source.graph.n_edges,
            "copies": source.description if isinstance(source, WithCopies) else None,
            "vectorizer": None if source.fitted is None else describe(source.fitted.vectorizer),
            "encoder": None if source.encoder is None else describe(source.encoder),
        },
    }
    environment = {
        "jaxdc": __version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "devices": f"{jax.device_count()} x {device.device_kind}",
    }
    understood = {
        "summary": source.understood or None,
        "columns": None if source.columns is None else list(source.columns),
        "divisors": None if source.divisors is None else dict(source.divisors),
    }
    return {
        "run": _as_json(run),
        "opened": source.opened,
        "understood": understood,
        "environment": environment,
    }


def describe_stage(stage: Stage) -> dict[str, Any]:
    """A stage as JSON-serialisable data."""
    settings = {f.name: getattr(stage, f.name) for f in dataclasses.fields(stage) if f.name != "method"}
    return {"method": describe(stage.method), **settings, "optimizer": describe(stage.optimizer)}


def describe(value: Any) -> Any:
    """A frozen dataclass, such as a method, as its name and fields; other values unchanged."""
    if not dataclasses.is_dataclass(value):
        return value
    kind, name = _names().get(type(value), (OWN, type(value).__name__))
    return {kind: name, **{f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}}


def title_of(described: Mapping[str, Any]) -> str:
    """The class name of a described object, for messages."""
    for kind, table in tables().items():
        name = described.get(kind)
        if isinstance(name, str) and name in table:
            return table[name].__name__
    return str(described.get(OWN, next(iter(described.values()), "")))


def is_kind(key: str) -> bool:
    """Whether this key of a description names the described class, rather than a setting."""
    return key == OWN or key in tables()


def _as_json(run: dict[str, Any]) -> dict[str, Any]:
    """What a file holds of it, with lists for tuples."""
    try:
        return json.loads(json.dumps(run))
    except TypeError as error:
        raise InputError(f"{UNSAVABLE} ({error})") from error


def check_described(config: Mapping[str, Any], experiment: Experiment) -> None:
    """Raises InputError if the stages can't be rebuilt from ``config.json``."""
    if experiment_of(config, own=own_classes(experiment)) != experiment:
        raise InputError(UNSAVABLE)


def own_classes(value: Any) -> set[type]:
    """The classes in an experiment that are in no table."""
    if isinstance(value, Experiment):
        return set().union(*(own_classes(stage.method) for stage in value.stages))
    if not dataclasses.is_dataclass(value):
        return set()
    inside = set().union(*(own_classes(getattr(value, f.name)) for f in dataclasses.fields(value)), set())
    return inside if type(value) in _names() else {type(value), *inside}


def experiment_of(config: Mapping[str, Any], own: Iterable[type] = ()) -> Experiment:
    """Rebuilds the stages that ``config.json`` describes; ``own`` holds the classes that are in no table."""
    classes = {one.__name__: one for one in own}
    stages = []
    for settings in config["run"]["stages"]:
        made = {name: made_again(value, classes) for name, value in settings.items()}
        stages.append(_call(Stage, made, "a stage"))
    return Experiment(tuple(stages))


def vectorizer_of(described: Mapping[str, Any]) -> Vectorizer:
    """Rebuilds the vectoriser of a run on texts."""
    made = made_again(described, {})
    if not isinstance(made, Vectorizer):
        raise InputError(f"config.json names {title_of(described)}, which is not a vectorizer")
    return made


def encoder_of(config: Mapping[str, Any]) -> ImageEncoder | None:
    """The encoder that was before a run on images, made again, and where it was; None of any other run."""
    described = config["run"]["data"].get("encoder")
    if described is None:
        return None
    made = made_again(described, {})
    if not isinstance(made, ImageEncoder):
        raise InputError(f"config.json names {title_of(described)} where an encoder is expected")
    return made.at((config.get("opened") or {}).get("encoder"))


def made_again(value: Any, own: Mapping[str, type]) -> Any:
    """Rebuilds what ``describe`` described, after a JSON round trip that turned tuples into lists."""
    if isinstance(value, list):
        return tuple(made_again(part, own) for part in value)
    if not isinstance(value, dict):
        return value
    # A method's augmentation is a nested description (a dict), not a string, so it is not the kind.
    kinds = [key for key, name in value.items() if is_kind(key) and isinstance(name, str)]
    if len(kinds) != 1:
        raise InputError(f"config.json must name exactly one class here, but has {_shown(value)}")
    kind, name = kinds[0], value[kinds[0]]
    table = own if kind == OWN else tables()[kind]
    if name not in table:
        if kind == OWN:
            raise InputError(
                f"this run uses {name}, a class that is not part of jaxdc: "
                f"load it in Python with jaxdc.load(folder, methods=[{name}])"
            )
        known = ", ".join(sorted(table))
        raise InputError(f"config.json names an unknown {kind} {name!r}; this version of jaxdc has {known}")
    fields = {key: made_again(part, own) for key, part in value.items() if key != kind}
    return _call(table[name], fields, f"{kind} {name}")


def _call(made: type, fields: Mapping[str, Any], what: str) -> Any:
    known = {field.name for field in dataclasses.fields(made) if field.init}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise InputError(f"config.json gives {what} the unknown setting {unknown[0]!r}")
    try:
        return made(**fields)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"config.json has invalid settings for {what}: {error}") from error


def _shown(value: Mapping[str, Any]) -> str:
    text = json.dumps(value)
    return text if len(text) < 120 else f"{text[:117]}..."


def spec_of(config: Mapping[str, Any]) -> DataSpec:
    """The data specification that the methods of this run were given."""
    data = config["run"]["data"]
    widths = None if data.get("views") is None else tuple(data["views"].values())
    reported = data.get("n_reported")
    edges = data.get("n_edges")
    graph = None if edges is None else Graph.of_size(data["n_samples"], edges)
    known = (data["rms"], reported, data["dtype"], widths, graph, data.get("offset", 0.0))
    return DataSpec(tuple(data["shape"]), data["n_samples"], *known)


def spec_for(source: Source) -> DataSpec:
    """The data specification of a source."""
    widths = None if source.views is None else tuple(source.views.values())
    dtype = str(np.dtype(source.dtype))
    known = (source.rms(), source.n_reported, dtype, widths, source.graph, source.offset)
    return DataSpec(source.shape, source.n_samples, *known)


def stop_words_of(config: Mapping[str, Any]) -> str | None:
    """Language of the stop words that a run on texts left out: "english", or None."""
    vectorizer = config["run"]["data"].get("vectorizer") or {}
    return None if vectorizer.get("stop_words") == "none" else "english"


def read_config(folder: Path, *, check: bool = True, own: Sequence[type] = ()) -> dict[str, Any]:
    """Reads ``config.json`` of a run folder, converted to the format of this version.

    Args:
      folder: run folder.
      check: rebuild its stages, to reject classes unknown to this version.
      own: classes that are in no table.

    Raises:
      InputError: the file is missing or damaged, or names something this version does not have.
    """
    path = folder / "config.json"
    check_links(folder)
    if not path.exists():
        raise InputError(f"{folder} is not a run folder: it has no config.json")
    try:
        try:
            config = read_json(path)
        except InputError as error:
            raise ValueError(str(error)) from error
        if "kind" in config["run"]:
            raise InputError(f"{folder} holds {config['run']['kind']}, not the run of a method")
        if not {"method", "stages", "data"} <= set(config["run"]):
            raise KeyError("stages")
        config["run"] = _of_today(config["run"])
        _check_types(config)
        if check:
            experiment_of(config, own)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged or was not written by jaxdc ({error}); choose another folder, or remove this one"
        ) from error
    return config


def _check_types(config: Mapping[str, Any]) -> None:
    """Raises an error unless what is read of every run is what it should be."""
    data, spec = config["run"]["data"], spec_of(config)
    reported = [] if spec.n_reported is None else [spec.n_reported]
    if not all(isinstance(n, int) and 0 < n < 2**40 for n in (*spec.shape, spec.n_samples, *reported)):
        raise ValueError("its sizes are no sizes")
    if not all(isinstance(data[name], str) for name in ("name", "fingerprint", "protocol", "dtype")):
        raise ValueError("its data have no name, fingerprint or protocol")
    for stage in config["run"]["stages"]:
        title_of(stage["method"])
        int(stage["method"]["n_clusters"])
    if not all(isinstance(config.get(part) or {}, dict) for part in ("opened", "understood", "environment")):
        raise ValueError("a part of it is no object")


def _of_today(value: Any) -> Any:
    """The same with this version's class names; 0.1.0 wrote import paths."""
    if isinstance(value, list):
        return [_of_today(part) for part in value]
    if not isinstance(value, dict):
        return value
    parts = {key: _of_today(part) for key, part in value.items() if key != "class"}
    if "class" not in value:
        return parts
    kind, name = OLD_NAMES.get(str(value["class"]), (OWN, str(value["class"]).rpartition(":")[2]))
    return {kind: name, **parts}


def digest_of_run(folder: Path) -> str:
    """A digest of the run in a folder, which its checkpoints carry: 64 hexadecimal digits.

    It is of ``config.json`` as written, without the spelling of paths.

    Raises:
      InputError: there is no ``config.json``, or it is damaged.
    """
    run = read_json(folder / "config.json")["run"]
    identity = {**run, "init_from": None, "data": {**run["data"], "name": None}}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """The differences between the ``"run"`` entries of two configurations, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from differences(a, b, f"{name}[{i}]")
    elif old != new:
        yield f"{name} is {old!r} there and {new!r} here"
