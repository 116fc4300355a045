"""Reads a sentence-transformers model directory with a BERT: settings, weights and tokenizer.

The weights are read from ``model.safetensors`` and the tokenizer from ``tokenizer.json`` by the packages
safetensors and tokenizers, which the extra ``jaxdc[text]`` installs; PyTorch is not needed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.nn.bert import PADDING, Bert, BertSettings
from jaxdc.reading import read_json

WEIGHTS = "model.safetensors"
MODULES = ("Transformer", "Pooling", "Normalize")  # of sentence-transformers, in order
POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}
# Our names, and Hugging Face's.
BLOCK_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}
PARTS = {
    "words": "word_embeddings",
    "positions": "position_embeddings",
    "segments": "token_type_embeddings",
    "norm": "LayerNorm",
}


class UnknownModel(InputError):
    """A valid model of a kind that is not implemented here."""


class SentenceModel(NamedTuple):
    """The settings of a model, from ``config.json`` and similar files.

    Attributes:
      directory: directory of the model.
      settings: settings of the network.
      max_tokens: maximum number of tokens, including [CLS] and [SEP]; longer texts are truncated.
    """

    directory: Path
    settings: BertSettings
    max_tokens: int

    def tokens(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """Token ids of texts, [CLS] first and [SEP] last."""
        limit = min(max_tokens or self.max_tokens, self.max_tokens)
        return [encoded.ids for encoded in _tokenizer(self.directory, limit).encode_batch(list(texts))]

    def unnormalized(self) -> SentenceModel:
        """The same model with unnormalised sentence vectors."""
        return self._replace(settings=dataclasses.replace(self.settings, normalize=False))

    def load(self) -> Bert:
        """Builds the network with its weights.

        Raises:
          InputError: the weights are missing, or do not match the settings.
        """
        graphdef, state = nnx.split(nnx.eval_shape(lambda: Bert(self.settings, nnx.Rngs(0))))
        weights = _weights(self.directory)
        flat = [(path, self._weight(weights, path, leaf)) for path, leaf in nnx.to_flat_state(state)]
        return nnx.merge(graphdef, nnx.from_flat_state(flat))

    def _weight(self, weights, path, leaf):
        name, transposed = _name_of(path)
        if name not in weights:
            raise InputError(f"{self.directory / WEIGHTS} has no {name}, which config.json requires")
        value = weights[name].T if transposed else weights[name]
        if value.shape != leaf.shape:
            raise InputError(
                f"{name} of {self.directory / WEIGHTS} has shape {value.shape}, but config.json requires "
                f"{leaf.shape}"
            )
        # A separate copy, because a step donates its parameters.
        return leaf.replace(np.array(value, np.float32))


def open_sentence_model(directory: str | Path) -> SentenceModel:
    """Reads the settings of a model directory.

    Raises:
      InputError: there is no such directory, or it has no weights.
      UnknownModel: the model is of a kind that is not implemented here; the message names it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"there is no model directory {directory}")
    config = _read(directory / "config.json")
    if config is None:
        raise InputError(f"{directory} is not a model directory: it has no config.json")
    kind = config.get("model_type")
    if kind is None:
        raise InputError(
            f"the config.json of {directory} has no model_type, so it does not describe a language model"
        )
    if kind != "bert":
        raise UnknownModel(f"the model in {directory} is a {kind!r}, but must be a 'bert'")
    if not (directory / WEIGHTS).exists():
        raise InputError(f"the model directory {directory} has no weights ({WEIGHTS})")
    refused = {"hidden_act": ("gelu",), "position_embedding_type": ("absolute", None), "is_decoder": (False, None)}
    for name, known in refused.items():
        if config.get(name) not in known:
            raise UnknownModel(
                f"the model in {directory} has {name} {config.get(name)!r}, but must have {known[0]!r}"
            )
    if config.get("pad_token_id", PADDING) != PADDING:
        raise UnknownModel(
            f"the model in {directory} pads with token {config['pad_token_id']}, but must pad with 0"
        )
    pooling, normalize = _pooling(directory)
    try:
        settings = BertSettings(
            vocabulary=config["vocab_size"],
            width=config["hidden_size"],
            depth=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            hidden=config["intermediate_size"],
            max_tokens=config["max_position_embeddings"],
            segments=config["type_vocab_size"],
            epsilon=config.get("layer_norm_eps", 1e-12),
            pooling=pooling,
            normalize=normalize,
        )
    except KeyError as error:
        raise InputError(f"{directory / 'config.json'} has no {error.args[0]}") from error
    said = _read(directory / "sentence_bert_config.json") or {}
    limit = said.get("max_seq_length") or settings.max_tokens
    return SentenceModel(directory, settings, min(limit, settings.max_tokens))


def _pooling(directory: Path) -> tuple[Any, bool]:
    """The pooling of token vectors; the mean for a plain BERT directory, which does not specify one."""
    modules = _read(directory / "modules.json")
    if modules is None:
        return "mean", False
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    if kinds not in (list(MODULES[:2]), list(MODULES)):
        raise UnknownModel(
            f"the model in {directory} consists of {', '.join(kinds)}, but only {', '.join(MODULES)} are supported"
        )
    if modules[0].get("path"):
        raise InputError(f"the network of {directory} is in its folder {modules[0]['path']}: pass that folder")
    said = _read(directory / modules[1]["path"] / "config.json") or {}
    on = [name for name, value in said.items() if name.startswith("pooling_mode_") and value]
    if len(on) != 1 or on[0] not in POOLINGS:
        raise UnknownModel(
            f"the model in {directory} pools by {', '.join(on) or 'nothing'}, but must pool by one of "
            f"{', '.join(POOLINGS)}"
        )
    return POOLINGS[on[0]], kinds[-1] == "Normalize"


def _read(path: Path) -> Any:
    """Reads a JSON file, or returns None if there is none."""
    if not path.exists():
        return None
    return read_json(path)


def _name_of(path: tuple) -> tuple[str, bool]:
    """Hugging Face's name of one of our parameters, and whether it is stored transposed."""
    kind = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}[path[-1]]
    if path[0] == "blocks":
        return f"encoder.layer.{path[1]}.{BLOCK_PARTS[path[2]]}.{kind}", path[-1] == "kernel"
    return f"embeddings.{PARTS[path[0]]}.{kind}", False


@functools.lru_cache(maxsize=1)
def _weights(directory: Path) -> dict[str, np.ndarray]:
    """All tensors by name; cached, because a run needs them several times."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise InputError("reading the weights needs safetensors: pip install 'jaxdc[text]'") from error
    try:
        tensors = load_file(directory / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{directory / WEIGHTS} is damaged: {error}") from error
    return {name.removeprefix("bert."): value for name, value in tensors.items()}


@functools.lru_cache(maxsize=4)
def _tokenizer(directory: Path, max_tokens: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise InputError("tokenising texts needs tokenizers: pip install 'jaxdc[text]'") from error
    path = directory / "tokenizer.json"
    if not path.exists():
        raise InputError(f"the model directory {directory} has no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package has no exception type of its own
        raise InputError(f"{path} is damaged: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens)
    return tokenizer
