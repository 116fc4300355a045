"""Deep clustering in JAX.

    import jaxdc
    result = jaxdc.fit(jaxdc.DEC(n_clusters=10), x)
    result.labels

``jaxdc.losses``, ``jaxdc.cluster`` and ``jaxdc.metrics`` can be used on their own; importing
``jaxdc`` loads none of them, nor Flax, Orbax or TensorFlow. ``__init__.pyi`` lists the names for type
checkers, and is generated.
"""

import importlib

from jaxdc.errors import InputError as InputError
from jaxdc.version import __version__ as __version__

_HOME = {
    **dict.fromkeys(("Experiment", "Optimizer", "Stage"), "jaxdc.methods.base"),
    **dict.fromkeys(("Result", "fit", "load"), "jaxdc.runs"),
}
_MODULES = (
    *(
        "augment",
        "cluster",
        "data",
        "embed",
        "losses",
        "methods",
        "metrics",
        "nn",
        "probe",
        "runs",
        "sklearn",
        "train",
    ),
    "workspaces",
)


def _methods() -> dict[str, type]:
    """Loads the class of every method, by name."""
    methods = importlib.import_module("jaxdc.methods")
    return {entry.method.__name__: entry.method for entry in methods.entries() if entry.is_listed}


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"jaxdc.{name}")
    if name[:1].isupper() and name in _methods():
        return _methods()[name]
    raise AttributeError(f"module 'jaxdc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES, *_methods()])
