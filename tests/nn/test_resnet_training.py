"""A narrow ResNet through the loop's own compiled step, in float32 and in mixed precision."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx as flax_nnx

from jaxdc import losses, nn
from jaxdc.distributed import sharding
from jaxdc.methods.base import DataSpec, Method, Optimizer, Stage
from jaxdc.nn import resnet
from jaxdc.train import steps
from jaxdc.train.embedding import make_embed_resident
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import init_state

N, BATCH = 64, 32
SPEC = DataSpec((16, 16, 3), N)
TRACES = []


class _Network(flax_nnx.Module):
    def __init__(self, dtype, rngs):
        self.encoder = nn.ResNet(18, width=8, dtype=dtype, rngs=rngs)
        self.head = nn.ProjectionHead(64, 32, 16, batch_norm=True, dtype=dtype, rngs=rngs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Contrast(Method):
    """NT-Xent between an image and its mirror image."""

    dtype: Any = jnp.float32

    def init(self, key, spec):
        return _Network(self.dtype, flax_nnx.Rngs(key)), {}

    def loss(self, model, aux, batch, key):
        TRACES.append(1)
        x = jnp.concatenate([batch["x"], batch["x"][:, :, ::-1]])
        view1, view2 = jnp.split(model.head(model.encoder(x, train=True), train=True), 2)
        return jnp.mean(losses.nt_xent(view1, view2)), (aux, {})

    def assign(self, model, aux, features):
        return jax.nn.softmax(features[:, : self.n_clusters])

    def stages(self, recipe, spec):
        return (Stage(method=self, steps=10),)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_it_trains(dtype, one_device, monkeypatch):
    monkeypatch.setitem(resnet.BLOCKS, 18, (1, 1, 1, 1))  # compiles in half the time
    method, mesh = _Contrast(n_clusters=2, dtype=dtype), sharding.make_mesh(one_device)
    optimizer = Optimizer(name="sgd", learning_rate=0.1, weight_decay=1e-4, cosine=True, warmup_epochs=1)
    tx = make_optimizer(Stage(method=method, steps=20, batch_size=BATCH, optimizer=optimizer), N)
    graphdef, state = init_state(method, tx, jax.random.key(0), SPEC, mesh)
    before = jax.tree.map(np.asarray, state.model_state)
    x = sharding.replicate(np.random.default_rng(0).integers(0, 255, (N, *SPEC.shape), np.uint8), mesh)
    order = sharding.replicate(np.arange(N, dtype=np.int32), mesh)
    run = steps.make_resident_steps(method, graphdef, tx, mesh, BATCH)
    TRACES.clear()
    values = []
    for i in range(12):
        state, metrics = run(state, x, order, jnp.int32(i % 2), jnp.int32(1))
        values.append(float(metrics["loss"]))
        if i == 0:
            traced = len(TRACES)
    assert len(TRACES) == traced  # later steps trace nothing
    assert np.isfinite(values).all()
    assert np.mean(values[-4:]) < 0.9 * np.mean(values[:4])
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(state.model_state), strict=True):
        assert np.abs(a - b).max() > 1e-4
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.model_state))} == {jnp.dtype("float32")}
    # In evaluation an image's features do not depend on its batch, and nothing changes by asking.
    embed = make_embed_resident(method, graphdef, mesh, N)
    features = np.asarray(embed(state, x))
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, embed(state, x))
    others = embed(state, x.at[BATCH:].set(0))
    np.testing.assert_allclose(others[:BATCH], features[:BATCH], rtol=1e-5, atol=1e-6)
    assert np.abs(others[BATCH:] - features[BATCH:]).max() > 1e-2
