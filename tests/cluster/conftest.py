import re

import jax
import numpy as np
import pytest

from jaxdc.cluster import _blocks, kmeans, minibatch
from jaxdc.distributed import sharding

WHOLE = _blocks._CPU_BLOCK
JITTED = kmeans._k_means, kmeans._nearest_centroid, minibatch._update


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Blocks of 128 rows, so that a few hundred samples take several, and the last one overlaps."""
    with pytest.MonkeyPatch.context() as patch:
        for function in JITTED:
            function.clear_cache()
        patch.setattr(_blocks, "_CPU_BLOCK", 1)
        yield
    for function in JITTED:
        function.clear_cache()


@pytest.fixture
def usual_blocks(monkeypatch):
    """Blocks as they are, for shapes that no other test uses."""
    monkeypatch.setattr(_blocks, "_CPU_BLOCK", WHOLE)


@pytest.fixture(params=[1, 2, 4, 8], scope="module")
def on_devices(request):
    """Puts a matrix on 1, 2, 4 or 8 devices, cut over its rows."""
    mesh = sharding.make_mesh(jax.devices()[: request.param])
    return lambda x: jax.device_put(np.asarray(x), sharding.by_sample(mesh))


@pytest.fixture
def sharded_shape():
    """The shape of a matrix on 8 devices, for compiling without data."""
    mesh = sharding.make_mesh()
    return lambda *shape: jax.ShapeDtypeStruct(shape, np.float32, sharding=sharding.by_sample(mesh))


@pytest.fixture
def largest_move():
    """Values in the largest result of any collective of a compiled program; at least one collective."""

    def measure(compiled):
        sizes = []
        for line in compiled.as_text().splitlines():
            operation = re.search(
                r"= (.*?) (all-gather|all-reduce|all-to-all|collective-permute)(-start)?\(", line
            )
            if operation:
                shapes = re.findall(r"\w+\[([\d,]*)\]", operation[1])
                sizes += [int(np.prod([int(n) for n in shape.split(",") if n])) for shape in shapes]
        return max(sizes)

    return measure
