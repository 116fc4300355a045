"""A refresh on features of which each of eight devices has a part, against all of them on one."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from jaxdc import methods, nn
from jaxdc.cluster import layout
from jaxdc.distributed import sharding
from jaxdc.methods.base import DataSpec
from jaxdc.train.state import init_state, merge

SMALL = {"hidden": (16,), "latent": 8}
SETTINGS = {
    "ae_kmeans": SMALL,
    "dec": SMALL,
    "deepcluster": {"n_components": 8, "n_pseudo_clusters": 5},
    "deepcluster_v2": {"projection": 8, "embedding": "z"},
    "pcl": {"projection": 8, "n_prototypes": (4, 6)},
    "scan": {"n_neighbors": 5, "projection": 8},
    "jule": {},
    "propos": {"projection": 8},
    "selflabel": {},
    "simclr": {"projection": 8},
    "temi": {"n_neighbors": 5},
}


@pytest.mark.full
@pytest.mark.parametrize("n", [40, 41])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_parts_give_what_the_whole_gives(name, n):
    kind = methods.ALL[name]
    settings = dict(SETTINGS[name])
    if "backbone" in {field.name for field in dataclasses.fields(kind)}:
        settings["backbone"] = nn.Backbone(depth=6, width=4)
    method, spec = kind(n_clusters=3, **settings), DataSpec((8, 8, 1), n)
    found = []
    for devices in (jax.devices()[:1], jax.devices()):
        mesh = sharding.make_mesh(devices)
        graphdef, state = init_state(method, optax.sgd(0.1), jax.random.key(0), spec, mesh)
        model = merge(graphdef, state)
        batch = {"x": np.zeros((2, 8, 8, 1), np.float32)}
        width = jax.eval_shape(functools.partial(method.embed, model), state.aux, batch).shape[1]
        rng = np.random.default_rng(0)
        x = rng.normal(size=(n, width)) + 4 * rng.normal(size=(3, width))[rng.integers(3, size=n)]
        x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        features = jax.device_put(x, layout.sharding_of(x.shape, mesh))
        assert features.sharding.shard_shape(x.shape) != x.shape or len(devices) == 1
        model, aux = method.finish(model, state.aux, features, jax.random.key(1))
        model, aux = method.refresh(model, aux, features, jax.random.key(1))
        found.append(jax.device_get((nnx.state(model, nnx.Param), aux)))
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-3, atol=1e-4)
