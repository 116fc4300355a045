"""Network parts that are not trained."""

from __future__ import annotations

from flax import nnx


class Frozen(nnx.Variable):
    """A parameter that the optimizer never updates, not even by weight decay."""


def freeze(module: nnx.Module) -> None:
    """Turns every ``nnx.Param`` of a module into a ``Frozen``, in place, so that it is no longer trained."""
    for _, part in nnx.iter_modules(module):
        for name, variable in list(vars(part).items()):
            if isinstance(variable, nnx.Param):
                setattr(part, name, Frozen(variable.get_value()))
