"""What an import loads, in a fresh process."""

import json
import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "tensorflow_datasets", "flax", "optax", "orbax", "sklearn", "rich", "tyro")


def loaded(code):
    code += f"\nimport sys, json\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)


def test_the_package_is_light():
    assert loaded("import jaxdc") == []
    assert loaded("import jaxdc.losses, jaxdc.cluster") == []
    assert loaded("from jaxdc import losses, cluster; losses.kl_divergence") == []
    assert loaded("from jaxdc.probe import linear_probe, knn_probe") == ["optax"]


@pytest.mark.parametrize("module", ["jaxdc.methods", "jaxdc.training", "jaxdc.data", "jaxdc.cli", "jaxdc.sklearn"])
def test_no_tensorflow(module):
    assert not {"tensorflow", "tensorflow_datasets"} & set(loaded(f"import {module}"))


def test_public_names_are_there():
    import jaxdc

    for name in dir(jaxdc):
        assert getattr(jaxdc, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = jaxdc.nonsense


def test_import_takes_less_than_half_a_second_more_than_jax():
    timing = "import time, jax; t = time.perf_counter(); import jaxdc; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", timing], capture_output=True, text=True)
    assert float(done.stdout) < 0.5
