"""BERT against its formula in NumPy, and the model that a package ships against PyTorch's numbers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf
from sentence_models import CONFIG, packaged_model, random_weights, write_model

from jaxdc.errors import InputError
from jaxdc.nn.bert import Bert, BertSettings, Dropout
from jaxdc.nn.sentence_model import UnknownModel, open_sentence_model

TOKENS = np.array([[2, 5, 9, 3, 0, 0], [2, 7, 7, 11, 4, 3], [2, 3, 0, 0, 0, 0]], np.int32)


def by_hand(weights, tokens, pooling="mean", normalize=True):
    """One sentence at a time, without padding."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(axis=1, keepdims=True)
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]

    sentences = []
    for row in tokens:
        ids = row[row != 0]
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
        x = norm(x + w["embeddings.position_embeddings.weight"][: len(ids)], "embeddings.LayerNorm")
        for i in range(CONFIG["num_hidden_layers"]):
            at = f"encoder.layer.{i}"
            q, k, v = (linear(x, f"{at}.attention.self.{name}") for name in ("query", "key", "value"))
            heads = []
            for one in np.split(np.arange(x.shape[1]), CONFIG["num_attention_heads"]):
                scores = np.exp(q[:, one] @ k[:, one].T / np.sqrt(len(one)))
                heads.append(scores / scores.sum(axis=1, keepdims=True) @ v[:, one])
            mixed = linear(np.concatenate(heads, axis=1), f"{at}.attention.output.dense")
            x = norm(x + mixed, f"{at}.attention.output.LayerNorm")
            wide = linear(x, f"{at}.intermediate.dense")
            wide = 0.5 * wide * (1 + erf(wide / np.sqrt(2)))
            x = norm(x + linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        z = {"mean": x.mean(axis=0), "max": x.max(axis=0), "cls": x[0]}[pooling]
        sentences.append(z / np.linalg.norm(z) if normalize else z)
    return np.array(sentences)


@pytest.mark.full
@pytest.mark.parametrize(("pooling", "normalize"), [("mean", True), ("cls", False), ("max", False)])
def test_the_formula(tmp_path, pooling, normalize):
    write_model(tmp_path, pooling=pooling, normalize=normalize)
    net = open_sentence_model(tmp_path).load()
    expected = by_hand(random_weights(), TOKENS, pooling, normalize)
    np.testing.assert_allclose(jax.jit(lambda t: net(t))(TOKENS), expected, rtol=1e-4, atol=1e-5)
    # What a text is filled up with changes nothing.
    np.testing.assert_allclose(net(np.pad(TOKENS, ((0, 0), (0, 4)))), expected, rtol=1e-4, atol=1e-5)


def test_a_plain_directory_pools_by_the_mean(tmp_path):
    write_model(tmp_path)
    (tmp_path / "modules.json").unlink()
    np.testing.assert_allclose(
        open_sentence_model(tmp_path).load()(TOKENS), by_hand(random_weights(), TOKENS, "mean", False), rtol=1e-4
    )


@pytest.mark.full
def test_gradients_are_finite_where_there_is_no_token():
    net = Bert(BertSettings(vocabulary=8, width=4, depth=1, heads=2, hidden=4, normalize=True), nnx.Rngs(0))
    graphdef, state = nnx.split(net)
    value, gradient = jax.value_and_grad(lambda s: jnp.sum(nnx.merge(graphdef, s)(jnp.zeros((2, 3), jnp.int32))))(
        state
    )
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_dropout_draws_anew_and_keeps_the_mean():
    dropout, x = Dropout(0.25, jax.random.key(0)), jnp.ones((200, 200))
    first, second = dropout(x), dropout(x)
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(np.unique(first), [0, 4 / 3], rtol=1e-6)
    np.testing.assert_allclose(np.mean(first), 1.0, atol=0.02)
    np.testing.assert_array_equal(Dropout()(x), x)


def test_dropout_is_in_the_network(tmp_path):
    write_model(tmp_path)
    net = open_sentence_model(tmp_path).load()
    plain, dropped = net(TOKENS), [net(TOKENS, dropout=Dropout(0.3, jax.random.key(i))) for i in (0, 0, 1)]
    np.testing.assert_array_equal(dropped[0], dropped[1])
    assert np.abs(dropped[0] - dropped[2]).max() > 0.01
    assert np.abs(dropped[0] - plain).max() > 0.01
    draws = []
    net(TOKENS, dropout=lambda x: draws.append(x.shape) or x)
    assert draws == [(3, 6, 8)] * (1 + 2 * 2)  # the embedded tokens, and two sums of each of two blocks


def edited(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mpnet"}, "is a 'mpnet', but must be a 'bert'"),
        ({"hidden_act": "relu"}, "has hidden_act 'relu', but must have 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "has position_embedding_type 'relative_key'"),
        ({"pad_token_id": 1}, "pads with token 1, but must pad with 0"),
    ],
)
def test_what_is_not_implemented_is_named(tmp_path, changes, message):
    write_model(tmp_path)
    edited(tmp_path / "config.json", **changes)
    with pytest.raises(UnknownModel, match=message):
        open_sentence_model(tmp_path)


def test_other_modules_and_poolings_are_named(tmp_path):
    write_model(tmp_path)
    pooling = tmp_path / "1_Pooling" / "config.json"
    edited(pooling, pooling_mode_mean_tokens=False, pooling_mode_mean_sqrt_len_tokens=True)
    with pytest.raises(UnknownModel, match="pools by pooling_mode_mean_sqrt_len_tokens, but must pool by one of"):
        open_sentence_model(tmp_path)
    edited(pooling, pooling_mode_cls_token=True)
    with pytest.raises(UnknownModel, match="pools by pooling_mode_cls_token, pooling_mode_mean_sqrt_len_tokens"):
        open_sentence_model(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules.insert(2, {"type": "sentence_transformers.models.Dense", "path": "2_Dense"})
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnknownModel, match="consists of Transformer, Pooling, Dense, Normalize, but"):
        open_sentence_model(tmp_path)


def test_damaged_directories(tmp_path):
    with pytest.raises(InputError, match="there is no model directory"):
        open_sentence_model(tmp_path / "none")
    with pytest.raises(InputError, match=r"it has no config.json"):
        open_sentence_model(tmp_path)
    write_model(tmp_path / "other")
    edited(tmp_path / "other" / "config.json", model_type=None)
    with pytest.raises(InputError, match=r"the config.json of .*other has no model_type"):
        open_sentence_model(tmp_path / "other")
    write_model(tmp_path / "a", weights=False)
    with pytest.raises(InputError, match=r"has no weights \(model.safetensors\)"):
        open_sentence_model(tmp_path / "a")
    write_model(tmp_path / "b")
    edited(tmp_path / "b" / "config.json", num_hidden_layers=3)
    with pytest.raises(InputError, match=r"has no encoder.layer.2.\S+, which config.json requires"):
        open_sentence_model(tmp_path / "b").load()
    edited(tmp_path / "b" / "config.json", num_hidden_layers=2, intermediate_size=9)
    with pytest.raises(InputError, match=r"has shape \(.*\), but config.json requires \(.*\)"):
        open_sentence_model(tmp_path / "b").load()
    write_model(tmp_path / "c")
    (tmp_path / "c" / "model.safetensors").write_bytes(b"not this")
    with pytest.raises(InputError, match=r"model.safetensors is damaged"):
        open_sentence_model(tmp_path / "c").load()
    (tmp_path / "c" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json has invalid JSON"):
        open_sentence_model(tmp_path / "c")
    (tmp_path / "c" / "tokenizer.json").write_text("{}")
    write_model(tmp_path / "d", tokenizer=False)
    with pytest.raises(InputError, match=r"has no tokenizer.json"):
        open_sentence_model(tmp_path / "d").tokens(["a"])


# transformers 5.24 with PyTorch 2.13 on a CPU, one sentence at a time without padding: the tokenizer with
# max_length=256, AutoModel, the mean of the last hidden state, divided by its norm. Entries 0, 1, 100 and 383.
ORACLE = {
    "How do I sort a list of dictionaries by a value of the dictionary?": (
        0.060541,
        0.062506,
        -0.005238,
        0.099347,
    ),
    "word": (0.000679, 0.01293, -0.035999, 0.055569),
    "Résumé of a naïve café owner": (0.001141, 0.003761, -0.07489, -0.019881),
    "": (-0.118838, 0.048299, 0.03595, -0.015717),
    "这是一个中文句子。": (0.017282, 0.132063, 0.078084, -0.010764),
    "Привет, как дела?": (-0.029639, 0.076866, -0.008684, -0.012781),
    "emoji 😀 and symbols ∑ ≤ 10^-5": (-0.028621, -0.002924, -0.028989, -0.046523),
    "The quick brown fox jumps over the lazy dog. " * 60: (0.062278, -0.057863, 0.042345, 0.089246),
}


@pytest.mark.realdata
def test_the_packaged_model_is_pytorchs():
    from jaxdc.data.text import Embedding

    vectors = Embedding(model=str(packaged_model())).fit(["a"]).transform(list(ORACLE))
    np.testing.assert_allclose(vectors[:, [0, 1, 100, 383]], list(ORACLE.values()), rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
