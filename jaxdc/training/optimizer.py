"""From an optimizer's settings to optax."""

from __future__ import annotations

import optax

from jaxdc.stages import Optimizer


def make_optimizer(settings: Optimizer, n_steps: int) -> optax.GradientTransformation:
    """The optax transformation of these settings, for a stage of ``n_steps`` steps."""
    learning_rate: optax.ScalarOrSchedule = settings.learning_rate
    if settings.decay_every is not None:
        boundaries = range(settings.decay_every, max(n_steps, settings.decay_every) + 1, settings.decay_every)
        learning_rate = optax.piecewise_constant_schedule(settings.learning_rate, dict.fromkeys(boundaries, 0.1))
    if settings.cosine:
        learning_rate = optax.cosine_decay_schedule(settings.learning_rate, max(n_steps, 1))
    if settings.name == "sgd":
        return optax.sgd(learning_rate, momentum=settings.momentum)
    return optax.adam(learning_rate)
