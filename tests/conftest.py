import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

import jax
import pytest

from jaxdc.nn import resnet

# The emitters of loops are half of what compilation costs on a CPU. jax 0.11 has no others, and dies of the flag.
if jax.__version_info__[:2] == (0, 10):
    os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}"

# A residual network of two blocks, one of them with a projection, which compiles in half the time of depth 10. At
# width 16 it has 32 features, as that has at width 4.
resnet.BLOCKS[6] = (1, 1)

# Before the first use of a device: eight virtual ones, so that sharding is real in every test.
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Many tests compile the same programs: the workers of one test run share what they have compiled.
if "JAXDC_TEST_CACHE" not in os.environ:
    os.environ["JAXDC_TEST_CACHE"] = tempfile.mkdtemp(prefix="jaxdc-tests-")
    atexit.register(shutil.rmtree, os.environ["JAXDC_TEST_CACHE"], ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", os.environ["JAXDC_TEST_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Most tests compile many programs and run each a few times; ``optimized`` are those that run long."""
    jax.config.update("jax_disable_most_optimizations", item.get_closest_marker("optimized") is None)


def pytest_collection_finish(session):
    """Leaves what is imported by now out of every later garbage collection, and makes those rarer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
    """Keeps a worker at a gigabyte; without it one run held six, and had to look through them for garbage."""
    yield
    jax.clear_caches()


DATA = Path(os.environ.get("JAXDC_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def one_device():
    return jax.devices()[:1]


@pytest.fixture(scope="module")
def one_device_alone():
    """One device for all that names none: eight virtual ones on few cores wait for one another in every step."""
    from jaxdc.distributed import sharding

    make_mesh = sharding.make_mesh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "make_mesh", lambda devices=None: make_mesh(devices or jax.devices()[:1]))
        yield


@pytest.fixture(scope="session")
def digits():
    from jaxdc.data import open_source

    return open_source("digits")


@pytest.fixture(scope="session")
def real_data():
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not in {DATA}; name their folder in JAXDC_TEST_DATA")
    return DATA
