"""Builds an optax optimizer from the settings of a stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage
from jaxdc.nn.blocks import distances

REFERENCE_BATCH = 256  # batch size at which batch scaling leaves the learning rate unchanged
POINTS = {"centroids", "biases", "scales", "combinators"}  # parameters with two or more axes that are not weights


def make_schedule(stage: Stage, n_samples: int) -> optax.ScalarOrSchedule:
    """The learning rate as a function of the step count; a number if it is constant."""
    settings, n_steps = stage.optimizer, stage.n_steps(n_samples)
    peak = settings.learning_rate * _batch_factor(settings.batch_scaling, stage.batch_for(n_samples))
    warmup = min(round(settings.warmup_epochs * stage.steps_per_epoch(n_samples)), n_steps // 2)
    every = settings.decay_every
    if settings.decay_every_epochs is not None:
        every = max(round(settings.decay_every_epochs * stage.steps_per_epoch(n_samples)), 1)
    if not warmup and every is None and not settings.decay_at and not settings.cosine:
        return peak
    factor = jnp.float32(0.1 if settings.decay_factor is None else settings.decay_factor)

    def schedule(count: jax.typing.ArrayLike) -> jax.Array:
        rate = jnp.asarray(peak, jnp.float32)
        if every is not None:
            rate = rate * factor ** (jnp.asarray(count) // every).astype(jnp.float32)
        if settings.decay_at:
            boundaries = jnp.array([round(share * n_steps) for share in settings.decay_at])
            rate = rate * factor ** jnp.sum(count >= boundaries).astype(jnp.float32)
        if settings.cosine:
            progress = jnp.clip((count - warmup) / max(n_steps - warmup, 1), 0.0, 1.0)
            rate = rate * 0.5 * (1 + jnp.cos(math.pi * progress))
        if settings.lowest_rate is not None:
            rate = jnp.maximum(rate, min(settings.lowest_rate, peak))
        if warmup:
            rate = rate * jnp.minimum(count / warmup, 1.0)
        return rate

    return schedule


def make_optimizer(stage: Stage, n_samples: int) -> optax.GradientTransformation:
    """The optax transformation for a stage on a data set of ``n_samples``."""
    settings = stage.optimizer
    tx = _one_rate(settings, make_schedule(stage, n_samples))
    factors = {"encoder": settings.encoder_rate, "predictor": settings.predictor_rate}
    if settings.layer_decay == 1 and all(factor == 1 for factor in factors.values()):
        return tx
    # A step is proportional to its rate with every optimizer here.
    return optax.chain(tx, _parts_times(factors, settings.layer_decay))


def _parts_times(factors: Mapping[str, float], decay: float) -> optax.GradientTransformation:
    """Scales the updates of these parts, and the encoder's by the decay once for each block that follows."""

    def init(params):
        if decay != 1 and not distances(params.get("encoder", {})):
            raise InputError(
                f"layer_decay is {decay}, but there is no encoder here with blocks to train: leave it at 1"
            )
        return optax.EmptyState()

    def update(updates, state, params=None):
        del params
        away = distances(updates["encoder"]) if decay != 1 else {}

        def scaled(path, x):
            head, *rest = (getattr(entry, "key", None) for entry in path)
            if head is None or head not in factors:
                return x
            blocks = away.get(tuple(rest[: 1 + (rest[0] == "blocks")]), 0) if head == "encoder" else 0
            return x * (factors[head] * decay**blocks)

        return jax.tree_util.tree_map_with_path(scaled, updates), state

    return optax.GradientTransformation(init, update)


def _one_rate(settings: Optimizer, rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    decay, momentum, nesterov = settings.weight_decay, settings.momentum, settings.nesterov
    epsilon = 1e-8 if settings.epsilon is None else settings.epsilon
    if settings.name == "lars":
        return optax.lars(
            rate,
            weight_decay=decay,
            weight_decay_mask=is_weight,
            trust_coefficient=settings.trust_coefficient,
            trust_ratio_mask=is_weight,
            momentum=momentum,
            nesterov=nesterov,
        )
    if settings.name == "adamw":
        return optax.adamw(rate, eps=epsilon, weight_decay=decay, mask=is_weight)
    if settings.name == "sgd":
        tx = optax.sgd(rate, momentum=momentum, nesterov=nesterov)
    else:
        tx = optax.adam(rate, eps=epsilon)
    # Before the moments: in PyTorch's SGD and Adam, weight decay is part of the gradient.
    return optax.chain(optax.add_decayed_weights(decay, mask=is_weight), tx) if decay else tx


def is_weight(params: Any) -> Any:
    """Which parameters are weights: not biases, scales or shifts of a norm, or cluster centroids."""

    def weighs(path, p):
        return p.ndim > 1 and not any(getattr(entry, "key", None) in POINTS for entry in path)

    return jax.tree_util.tree_map_with_path(weighs, params)


def _batch_factor(scaling: str, batch_size: int) -> float:
    ratio = batch_size / REFERENCE_BATCH
    return {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[scaling]
