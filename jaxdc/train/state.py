"""The training state and its initialisation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from jaxdc.cluster import layout
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import Aux, Clustered, DataSpec, Method


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "params", "model_state", "opt_state", "aux", "key"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that training a stage changes, as one pytree.

    Attributes:
      step: gradient steps taken in this stage.
      params: parameters that the optimizer updates (``nnx.Param``).
      model_state: other variables of the model, such as batch statistics.
      opt_state: optax state.
      aux: the method's state without gradient.
      key: random key of the stage; every step folds in its number.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    aux: Any
    key: jax.Array


def merge(graphdef: nnx.GraphDef, state: TrainState) -> Any:
    """The model of a state, as a module that can be changed without changing the state."""
    return nnx.merge(graphdef, state.params, state.model_state, copy=True)


def magnitude(tree: Any) -> float:
    """The largest absolute value of all arrays, in the shards that this process holds; infinite if one is NaN."""
    largest = 0.0
    for leaf in jax.tree.leaves(tree):
        shards = leaf.addressable_shards
        for shard in shards[:1] if leaf.is_fully_replicated else shards:
            values = np.asarray(shard.data, np.float32)
            here = float(np.abs(values).max(initial=0.0))
            largest = max(largest, here if np.isfinite(here) else np.inf)
    return largest


def init_state(
    method: Method, tx: optax.GradientTransformation, key: jax.Array, spec: DataSpec, mesh: Mesh
) -> tuple[nnx.GraphDef, TrainState]:
    """A fresh state, on every device, but for what the method shares out."""
    graphdef, state = _make_state(method, tx, key, spec)
    return graphdef, sharding.put(state, shardings_of(method, state, mesh))


def shardings_of(method: Method, state: TrainState, mesh: Mesh) -> TrainState:
    """Where each array of a state lies: on every device, or shared out if it is one of ``method.sharded``."""
    where = jax.tree.map(lambda _: sharding.replicated(mesh), state)
    for name in method.sharded:
        if name in state.aux:
            where.aux[name] = layout.sharding_of(state.aux[name].shape, mesh)
    return where


def abstract_state(
    method: Method, tx: optax.GradientTransformation, spec: DataSpec, mesh: Mesh
) -> tuple[nnx.GraphDef, TrainState]:
    """Shapes, dtypes and shardings of a state, without computing one."""
    graphdefs = []

    def make(key):
        graphdef, state = _make_state(method, tx, key, spec)
        graphdefs.append(graphdef)
        return state

    shapes = jax.eval_shape(make, jax.random.key(0))
    where = shardings_of(method, shapes, mesh)
    like = jax.tree.map(lambda x, one: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=one), shapes, where)
    return graphdefs[0], like


def _make_state(method, tx, key, spec):
    init_key, loop_key = jax.random.split(key)
    model, aux = method.init(init_key, spec)
    graphdef, params, model_state = nnx.split(model, nnx.Param, ...)
    step = jnp.zeros((), jnp.int32)
    return graphdef, TrainState(step, params, model_state, tx.init(params), aux, loop_key)


class Handover(NamedTuple):
    """What a stage, or a saved run, hands over to the next stage.

    Attributes:
      method: the trained method.
      parts: parts of its network, by name.
      name: name for messages.
      found: computes the features and the probabilities of its samples, for a stage that begins with these.
      data: fingerprint of those samples, if they are of another run.
    """

    method: Method
    parts: Mapping[str, nnx.Module]
    name: str
    found: Callable[[], tuple[Any, Any]]
    data: str | None = None

    @classmethod
    def of(
        cls,
        method: Method,
        model: Any,
        aux: Any,
        found: Callable[[], tuple[Any, Any]],
        *,
        run: str | None = None,
        data: str | None = None,
    ) -> Handover:
        """From a trained network; ``run`` is the folder it was saved in."""
        name = type(method).__name__
        return cls(method, method.parts(model, aux), name if run is None else f"{name} ({run})", found, data)


def take_over(method: Method, model: Any, previous: Handover) -> None:
    """Copies into ``model`` those of its parts that ``method`` inherits from the stage before."""
    _check_same_images(method, previous)
    for part in method.inherits:
        if part not in previous.parts or not hasattr(model, part):
            if part in method.requires:
                raise InputError(f"{previous.name} has no {part} for {type(method).__name__} to take over")
            continue
        new, old = nnx.state(getattr(model, part)), nnx.state(previous.parts[part])
        shapes = [
            {"/".join(map(str, path)): leaf.shape for path, leaf in nnx.to_flat_state(s)} for s in (new, old)
        ]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"the {part} of {type(method).__name__} does not match that of {previous.name}: "
                f"{_difference(*shapes)}"
            )
        # Copy, because two stages must not share buffers that one of them donates.
        nnx.update(getattr(model, part), jax.tree.map(jnp.copy, old))


def take_clusters(
    method: Method, model: Any, aux: Aux, previous: Handover | None, spec: DataSpec
) -> tuple[Any, Aux]:
    """Lets a method that begins with clusters have those of the stage before.

    Raises:
      InputError: there is no stage before, it makes no clusters, or those are of another number or other samples.
    """
    name = type(method).__name__
    if previous is None:
        raise InputError(f"{name} begins with the clusters of a stage before it, or of a saved run (init_from)")
    if not previous.method.clusters:
        raise InputError(f"{previous.name} makes no clusters, with which {name} begins")
    if previous.method.n_clusters != method.n_clusters:
        raise InputError(
            f"{previous.name} has {previous.method.n_clusters} clusters, but {name}, which begins with them, has "
            f"{method.n_clusters}: use n_clusters={previous.method.n_clusters}, or a run with {method.n_clusters}"
        )
    embeddings, probabilities = previous.found()
    if len(probabilities) != spec.n_samples:
        raise InputError(
            f"{previous.name} has the clusters of {len(probabilities):,} samples, but {name}, which begins with "
            f"them, sees {spec.n_samples:,}"
        )
    return method.take_clusters(
        model, aux, Clustered(jnp.asarray(embeddings), jnp.asarray(probabilities), previous.name)
    )


def replace_model(
    state: TrainState, model: Any, aux: Any, tx: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """The state after a refresh, shared out as before; replaced parameters get a fresh optimizer state."""
    _, params, model_state = nnx.split(model, nnx.Param, ...)
    replaced = jax.tree.map(lambda new, old: new is not old, params, state.params)
    opt_state = state.opt_state
    if any(jax.tree.leaves(replaced)):
        # The moments of a replaced parameter restart at zero; a step count continues.
        opt_state = optax.tree_map_params(
            tx, lambda moment, is_new: jnp.zeros_like(moment) if is_new else moment, opt_state, replaced
        )
    new = dataclasses.replace(state, params=params, model_state=model_state, opt_state=opt_state, aux=aux)
    _check_same_form(state, new)
    return sharding.put(new, jax.tree.map(lambda old: _place(old, mesh), state))


def _place(array: jax.Array, mesh: Mesh) -> Any:
    """Where an array lies, if it is shared out over this mesh; otherwise every device."""
    where, devices = array.sharding, set(mesh.devices.flat)
    return sharding.replicated(mesh) if where.is_fully_replicated or where.device_set != devices else where


def _check_same_form(old: TrainState, new: TrainState) -> None:
    """Raises TypeError if a refresh changed a structure, shape or dtype, which would recompile the step."""
    if jax.tree.structure(old) != jax.tree.structure(new):
        raise TypeError("refresh changed the structure of the model or of aux")
    for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise TypeError(f"refresh changed an array from {a.dtype}{a.shape} to {b.dtype}{b.shape}")


def _check_same_images(method: Method, previous: Handover) -> None:
    """Raises InputError if the normalisation differs: such a network would be no better than an untrained one."""
    views = [getattr(one, "augmentation", None) for one in (method, previous.method)]
    now, before = ((v.mean, v.std) if v is not None else None for v in views)
    if now is not None and before is not None and now != before:
        raise InputError(
            f"{previous.name} was trained on images normalised with mean and std {before}, but the augmentation "
            f"of {type(method).__name__} has {now}: use the same values"
        )


def _difference(new: dict, old: dict) -> str:
    for name in sorted(set(new) | set(old)):
        if new.get(name) != old.get(name):
            return f"{name} is {new.get(name, 'absent')} in the first and {old.get(name, 'absent')} in the second"
    return "their structures differ"
