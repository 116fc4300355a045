"""Features of the encoders of ``transformers`` and timm: small random ones, stored beside what those packages make of them."""

import jax.numpy as jnp
import numpy as np
import pytest
from encoders import FOLDER, images

from jaxdc.nn.encoders import open_encoder

FEATURES = dict(np.load(FOLDER / "features.npz"))
WITH_CONFIG = [key for key in FEATURES if not key.startswith("efficientnet")]


@pytest.mark.parametrize("key", WITH_CONFIG)
def test_features_are_those_of_the_package(key):
    name, side = key.split("/")
    model = open_encoder(FOLDER / name, side=int(side))
    x = model.preprocess.normalized(jnp.asarray(images(int(side))))
    made = model.load()(x)
    assert made.shape[1] == model.n_features
    np.testing.assert_allclose(made, FEATURES[key], rtol=1e-5, atol=1e-5 * np.abs(FEATURES[key]).max())


def test_bfloat16_is_near():
    model = open_encoder(FOLDER / "dinov3_gated", side=24)
    x = model.preprocess.normalized(jnp.asarray(images(24)))
    made = model.load(jnp.bfloat16)(x)
    assert made.dtype == jnp.float32
    error = np.abs(made - FEATURES["dinov3_gated/24"]).max() / np.abs(FEATURES["dinov3_gated/24"]).max()
    assert 1e-5 < error < 0.05
