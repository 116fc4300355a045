import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxdc.cluster import k_means, nearest_neighbors, pca_whiten


@pytest.mark.parametrize(
    "call",
    [lambda x: k_means(jax.random.key(0), x, 2), lambda x: nearest_neighbors(x, 2), lambda x: pca_whiten(x, 2)],
)
def test_a_mesh_of_explicit_axes_is_refused_in_words(call):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    x = jax.device_put(jnp.ones((16, 3)), NamedSharding(mesh, PartitionSpec("data")))
    with pytest.raises(ValueError, match="x is split over a mesh with Explicit axes"):
        call(x)
    with pytest.raises(ValueError, match="x is split over a mesh with Explicit axes"):
        jax.jit(call)(x)


@pytest.mark.full
def test_auto_axes_within_an_explicit_mesh():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(160, 4)), jnp.float32)
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))

    def inertia(x):
        return k_means(jax.random.key(0), x, 3).inertia

    with jax.set_mesh(mesh):
        of_split = jax.jit(jax.sharding.auto_axes(inertia, out_sharding=PartitionSpec()))(split)
    np.testing.assert_allclose(of_split, inertia(x), rtol=1e-5)
