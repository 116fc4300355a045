"""The shapes in the signatures are true: checked at run time, in a process of its own."""

import subprocess
import sys

CODE = """
import jaxtyping
with jaxtyping.install_import_hook("jaxdc", "beartype.beartype"):
    import jaxdc.losses as L, jaxdc.cluster as C, jaxdc.augment as A
import jax, jax.numpy as jnp
def every_function():
    q = L.student_t_assignment(jnp.ones((6, 3)), jnp.ones((2, 3)))
    L.kl_divergence(L.target_distribution(q), q)
    L.squared_error(jnp.ones((2, 4, 4, 1)), jnp.ones((2, 4, 4, 1)))
    L.gaussian_kl(jnp.ones((2, 4)), jnp.ones((2, 4)))
    L.binary_cross_entropy(jnp.ones((2, 4, 4, 1)), jnp.ones((2, 4, 4, 1)))
    L.mixture_assignment(jnp.ones((2, 4)), jnp.ones((3, 4)), jnp.ones((3, 4)), jnp.ones(3))
    L.mixture_kl(*[jnp.ones((2, 4))] * 3, jnp.ones((3, 4)), jnp.ones((3, 4)), jnp.ones(3))
    C.balanced_labels(q)
    v, index = jnp.ones((4, 3)), jnp.arange(4)
    L.nt_xent(v, v, block_size=2)
    L.info_nce(v, v, v)
    L.update_queue(v, 1, v)
    L.cluster_nt_xent(q, q)
    L.mean_entropy(q)
    L.mutual_information(q, q)
    L.partition_uncertainty(q, q)
    L.instance_discrimination(v, v, index)
    L.instance_discrimination(v, None, None)
    L.update_memory_bank(v, v, index)
    L.feature_decorrelation(v)
    L.feature_orthogonality(v)
    L.neighbor_consistency(q, q)
    L.confident_cross_entropy(q, q)
    L.proto_nce(v, v, L.concentration(v, v, index), index)
    L.sinkhorn(q)
    L.self_expression(v, jnp.ones((4, 4)))
    L.canonical_correlation(v, jnp.ones((4, 2)))
    C.k_means(jax.random.key(0), jnp.arange(12.0).reshape(6, 2), 2)
    A.random_rotate_shift(jax.random.key(0), jnp.ones((2, 4, 4, 1)))
jax.eval_shape(every_function)  # shapes alone: nothing is compiled
try:
    L.kl_divergence(jnp.ones((6, 2)), jnp.ones((5, 2)))
except jaxtyping.TypeCheckError:
    print("checked")
"""


def test_signatures_hold():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.stdout == "checked\n", done.stderr
