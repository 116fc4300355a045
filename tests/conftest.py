import os
from pathlib import Path

import jax
import pytest

# Before the first use of a device: eight virtual ones, so that sharding is real in every test.
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

DATA = Path(os.environ.get("JAXDC_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def one_device():
    return jax.devices()[:1]


@pytest.fixture(scope="session")
def digits():
    from jaxdc.data import open_source

    return open_source("digits")


@pytest.fixture(scope="session")
def real_data():
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not in {DATA}; name their folder in JAXDC_TEST_DATA")
    return DATA
