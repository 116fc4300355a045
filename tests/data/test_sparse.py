import numpy as np
import pytest
from scipy import sparse

from jaxdc.data.sparse import SparseSource
from jaxdc.errors import InputError

X = sparse.csr_matrix([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 3.0]])


@pytest.mark.parametrize("resident_bytes", [2**20, 8])
def test_what_is_read_is_the_matrix(resident_bytes):
    source = SparseSource(X, [0, 1, 1], resident_bytes=resident_bytes)
    assert (source.array is None) == (resident_bytes == 8)
    assert (source.shape, source.n_samples, source.n_zeros()) == ((3,), 3, 1)
    x, rows = next(source.read(iter([np.array([2, 0])])))
    np.testing.assert_array_equal(x, X.toarray()[[2, 0]])
    assert rows.tolist() == [2, 0] and x.dtype == np.float32


@pytest.mark.parametrize("resident_bytes", [2**20, 8])
def test_the_fingerprint_changes_with_a_value(resident_bytes):
    other = X.copy()
    other[2, 2] = 4.0
    prints = {SparseSource(x, resident_bytes=resident_bytes).fingerprint() for x in (X, X.copy(), other)}
    assert len(prints) == 2


def test_bad_matrices():
    with pytest.raises(InputError, match="is empty"):
        SparseSource(X[:0])
    with pytest.raises(InputError, match=r"3 samples but labels of shape \(2,\)"):
        SparseSource(X, [0, 1])
    bad = X.copy()
    bad[0, 1] = np.nan
    for resident_bytes in (2**20, 8):
        with pytest.raises(InputError, match="nan|NaN"):
            SparseSource(bad, resident_bytes=resident_bytes)
