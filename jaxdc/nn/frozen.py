"""Parts of a network that training leaves alone."""

from __future__ import annotations

from flax import nnx


class Frozen(nnx.Variable):
    """A parameter that no optimizer moves, not even by weight decay."""


def freeze(module: nnx.Module) -> None:
    """Turns every ``nnx.Param`` of a module into a ``Frozen``, in place: it is state, and no longer trained."""
    for _, part in nnx.iter_modules(module):
        for name, variable in list(vars(part).items()):
            if isinstance(variable, nnx.Param):
                setattr(part, name, Frozen(variable.get_value()))
