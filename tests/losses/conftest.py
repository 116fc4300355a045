import jax
import pytest


@pytest.fixture
def quick_compilation():
    """For tests that compile a great many small programs and run each once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
