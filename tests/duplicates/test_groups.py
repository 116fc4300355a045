"""Groups of equal and nearly equal vectors, against all pairs by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from jaxdc.duplicates import exact_groups, near_groups


def test_exact_groups():
    assert exact_groups([b"a", b"b", b"a", b"", b"b", b"a", b"c"]) == [[0, 2, 5], [1, 4]]
    assert exact_groups([]) == []


def test_near_groups_are_linked_by_pairs():
    """0 is near 1, and 1 near 2, but 0 is not near 2; 4 has no direction."""
    angles = np.radians([0, 8, 16, 90, 0, 180])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([[1, 5, 0.1, 1, 0, 1]]).T
    assert near_groups(x, np.cos(np.radians(9))) == [[0, 1, 2]]
    assert near_groups(x, np.cos(np.radians(7))) == []


@pytest.mark.parametrize("sparse", [False, True])
def test_blocks_make_no_difference(sparse):
    """Copies far apart in the data, over several blocks of rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 20)).astype(np.float32)
    x = np.concatenate([x, x[:300] * 3 + 1e-3 * rng.normal(size=(300, 20)), x[:5]]).astype(np.float32)
    found = near_groups(csr_array(x) if sparse else x, 0.999)
    assert found == [[i, 400 + i, 700 + i] if i < 5 else [i, 400 + i] for i in range(300)]


def test_equal_vectors_are_within_a_threshold_of_one():
    x = np.random.default_rng(1).normal(size=(3, 50))
    assert near_groups(np.concatenate([x, x]), 1.0) == [[0, 3], [1, 4], [2, 5]]
