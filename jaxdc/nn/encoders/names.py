"""How files call the parameters of our networks, and how these are filled with what the files hold.

A name is found from ours; so every parameter either has its tensor or is missed by name, and every tensor of the
file is either used, known to be of another part of the model, or too much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.nn.resnet import BLOCKS

LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
SHOWN = 3  # names in a message


class Place(NamedTuple):
    """Where a parameter is in a file: a tensor, or one of several equal parts of its rows."""

    name: str
    part: int = 0
    n_parts: int = 1


class Names(NamedTuple):
    """What one kind of file calls things.

    Attributes:
      place_of: from the path of one of our parameters to its place.
      prefixes: prefixes that all names may have.
      ignored: a regular expression of names that are of no use here.
    """

    place_of: Callable[[tuple], Place]
    prefixes: tuple[str, ...]
    ignored: str

    def stripped(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors by their names without prefixes."""
        return {self._stripped(name): x for name, x in tensors.items()}

    def _stripped(self, name: str) -> str:
        for prefix in self.prefixes:
            name = name.removeprefix(prefix)
        return name


# What a file calls a layer, whose weight and bias are its leaves. "{i}" is the number of a block, "1/3" the first
# third of the rows.
DINOV2 = {
    "patches": "embeddings.patch_embeddings.projection.{leaf}",
    "class_token": "embeddings.cls_token",
    "registers": "embeddings.register_tokens",
    "positions": "embeddings.position_embeddings",
    "blocks.norm1": "encoder.layer.{i}.norm1.{leaf}",
    "blocks.norm2": "encoder.layer.{i}.norm2.{leaf}",
    "blocks.attention.query": "encoder.layer.{i}.attention.attention.query.{leaf}",
    "blocks.attention.key": "encoder.layer.{i}.attention.attention.key.{leaf}",
    "blocks.attention.value": "encoder.layer.{i}.attention.attention.value.{leaf}",
    "blocks.attention.out": "encoder.layer.{i}.attention.output.dense.{leaf}",
    "blocks.scale1": "encoder.layer.{i}.layer_scale1.lambda1",
    "blocks.scale2": "encoder.layer.{i}.layer_scale2.lambda1",
    "blocks.mlp.wide": "encoder.layer.{i}.mlp.fc1.{leaf}",
    "blocks.mlp.narrow": "encoder.layer.{i}.mlp.fc2.{leaf}",
    "norm": "layernorm.{leaf}",
}
DINOV2_GATED = DINOV2 | {
    "blocks.mlp.gate": "encoder.layer.{i}.mlp.weights_in.{leaf} 1/2",
    "blocks.mlp.wide": "encoder.layer.{i}.mlp.weights_in.{leaf} 2/2",
    "blocks.mlp.narrow": "encoder.layer.{i}.mlp.weights_out.{leaf}",
}
DINOV3 = {
    "patches": "embeddings.patch_embeddings.{leaf}",
    "class_token": "embeddings.cls_token",
    "registers": "embeddings.register_tokens",
    "blocks.norm1": "layer.{i}.norm1.{leaf}",
    "blocks.norm2": "layer.{i}.norm2.{leaf}",
    "blocks.attention.query": "layer.{i}.attention.q_proj.{leaf}",
    "blocks.attention.key": "layer.{i}.attention.k_proj.{leaf}",
    "blocks.attention.value": "layer.{i}.attention.v_proj.{leaf}",
    "blocks.attention.out": "layer.{i}.attention.o_proj.{leaf}",
    "blocks.scale1": "layer.{i}.layer_scale1.lambda1",
    "blocks.scale2": "layer.{i}.layer_scale2.lambda1",
    "blocks.mlp.wide": "layer.{i}.mlp.up_proj.{leaf}",
    "blocks.mlp.gate": "layer.{i}.mlp.gate_proj.{leaf}",
    "blocks.mlp.narrow": "layer.{i}.mlp.down_proj.{leaf}",
    "norm": "norm.{leaf}",
}
SIGLIP = {
    "patches": "embeddings.patch_embedding.{leaf}",
    "positions": "embeddings.position_embedding.weight",
    "blocks.norm1": "encoder.layers.{i}.layer_norm1.{leaf}",
    "blocks.norm2": "encoder.layers.{i}.layer_norm2.{leaf}",
    "blocks.attention.query": "encoder.layers.{i}.self_attn.q_proj.{leaf}",
    "blocks.attention.key": "encoder.layers.{i}.self_attn.k_proj.{leaf}",
    "blocks.attention.value": "encoder.layers.{i}.self_attn.v_proj.{leaf}",
    "blocks.attention.out": "encoder.layers.{i}.self_attn.out_proj.{leaf}",
    "blocks.mlp.wide": "encoder.layers.{i}.mlp.fc1.{leaf}",
    "blocks.mlp.narrow": "encoder.layers.{i}.mlp.fc2.{leaf}",
    "norm": "post_layernorm.{leaf}",
    "pool.probe": "head.probe",
    "pool.attention.query": "head.attention.in_proj_{leaf} 1/3",
    "pool.attention.key": "head.attention.in_proj_{leaf} 2/3",
    "pool.attention.value": "head.attention.in_proj_{leaf} 3/3",
    "pool.attention.out": "head.attention.out_proj.{leaf}",
    "pool.norm": "head.layernorm.{leaf}",
    "pool.mlp.wide": "head.mlp.fc1.{leaf}",
    "pool.mlp.narrow": "head.mlp.fc2.{leaf}",
}
CLIP = SIGLIP | {
    "class_token": "embeddings.class_embedding",
    "before": "pre_layrnorm.{leaf}",
    "projection": "visual_projection.{leaf}",
}
TIMM = {
    "patches": "patch_embed.proj.{leaf}",
    "class_token": "cls_token",
    "registers": "reg_token",
    "positions": "pos_embed",
    "before": "norm_pre.{leaf}",
    "blocks.norm1": "blocks.{i}.norm1.{leaf}",
    "blocks.norm2": "blocks.{i}.norm2.{leaf}",
    "blocks.attention.query": "blocks.{i}.attn.qkv.{leaf} 1/3",
    "blocks.attention.key": "blocks.{i}.attn.qkv.{leaf} 2/3",
    "blocks.attention.value": "blocks.{i}.attn.qkv.{leaf} 3/3",
    "blocks.attention.out": "blocks.{i}.attn.proj.{leaf}",
    "blocks.scale1": "blocks.{i}.ls1.gamma",
    "blocks.scale2": "blocks.{i}.ls2.gamma",
    "blocks.mlp.wide": "blocks.{i}.mlp.fc1.{leaf}",
    "blocks.mlp.narrow": "blocks.{i}.mlp.fc2.{leaf}",
    "norm": "norm.{leaf}",
    "pool.probe": "attn_pool.latent",
    "pool.attention.query": "attn_pool.q.{leaf}",
    "pool.attention.key": "attn_pool.kv.{leaf} 1/2",
    "pool.attention.value": "attn_pool.kv.{leaf} 2/2",
    "pool.attention.out": "attn_pool.proj.{leaf}",
    "pool.norm": "attn_pool.norm.{leaf}",
    "pool.mlp.wide": "attn_pool.mlp.fc1.{leaf}",
    "pool.mlp.narrow": "attn_pool.mlp.fc2.{leaf}",
}
TIMM_GATED = TIMM | {
    "blocks.mlp.gate": "blocks.{i}.mlp.fc1.{leaf} 1/2",
    "blocks.mlp.wide": "blocks.{i}.mlp.fc1.{leaf} 2/2",
}
HUGGING_FACE = ("vision_model.", "dinov2.", "dinov2_with_registers.", "dinov3_vit.", "resnet.", "model.")
OTHER_PARTS = r"text_model\.|text_projection|logit_|classifier\.|.*position_ids$|.*mask_token$"
TRAINING = ("module.", "encoder_q.", "backbone.", "model.")  # what code for training puts before a network's names


def vit_names(table: Mapping[str, str], ignored: str = OTHER_PARTS) -> Names:
    """Names of a ViT's tensors, by one of the tables above."""

    def place_of(path: tuple) -> Place:
        leaf = LEAVES.get(path[-1])
        layer = ".".join(part for part in (path if leaf is None else path[:-1]) if isinstance(part, str))
        block = path[1] if path[0] == "blocks" else None
        name, _, part = table[layer].partition(" ")
        number, of = (part or "1/1").split("/")
        return Place(name.format(i=block, leaf=leaf), int(number) - 1, int(of))

    return Names(place_of, HUGGING_FACE, ignored)


def resnet_names(depth: int, hugging_face: bool) -> Names:
    """Names of a ResNet's tensors: torchvision's, which timm shares, or those of ``transformers``."""
    stages = [(stage, i) for stage, n in enumerate(BLOCKS[depth]) for i in range(n)]

    def torchvision(path: tuple) -> Place:
        leaf, is_norm = LEAVES[path[-1]], path[-2] == "norm"
        if path[0] == "first":
            return Place(f"{'bn1' if is_norm else 'conv1'}.{leaf}")
        stage, i = stages[path[1]]
        if path[2] == "shortcut":
            return Place(f"layer{stage + 1}.{i}.downsample.{int(is_norm)}.{leaf}")
        return Place(f"layer{stage + 1}.{i}.{'bn' if is_norm else 'conv'}{path[3] + 1}.{leaf}")

    def transformers(path: tuple) -> Place:
        part = f"{'normalization' if path[-2] == 'norm' else 'convolution'}.{LEAVES[path[-1]]}"
        if path[0] == "first":
            return Place(f"embedder.embedder.{part}")
        stage, i = stages[path[1]]
        layer = "shortcut" if path[2] == "shortcut" else f"layer.{path[3]}"
        return Place(f"encoder.stages.{stage}.layers.{i}.{layer}.{part}")

    if hugging_face:
        return Names(transformers, HUGGING_FACE, rf"{OTHER_PARTS}|.*num_batches_tracked$")
    return Names(torchvision, TRAINING, r"(fc|head|module|encoder_k|queue)\b|.*num_batches_tracked$")


def efficientnet_names() -> Names:
    """Names of an EfficientNet-lite's tensors in its PyTorch port."""
    convs = {"expand": "_expand_conv", "across": "_depthwise_conv", "project": "_project_conv"}
    norms = {"expand": "_bn0", "across": "_bn1", "project": "_bn2"}
    ends = {"first": ("_conv_stem", "_bn0"), "last": ("_conv_head", "_bn1")}

    def place_of(path: tuple) -> Place:
        leaf, is_norm = LEAVES[path[-1]], path[-2] == "norm"
        if path[0] in ends:
            return Place(f"{ends[path[0]][is_norm]}.{leaf}")
        return Place(f"_blocks.{path[1]}.{(norms if is_norm else convs)[path[2]]}.{leaf}")

    return Names(place_of, TRAINING, r"_fc\.|.*num_batches_tracked$")


def filled(
    state: Any,
    names: Names,
    tensors: Mapping[str, np.ndarray],
    folder: Path,
    positions: Callable[[np.ndarray], np.ndarray],
) -> Any:
    """The state of a network with the values of a file.

    Args:
      state: state of the network; only its shapes matter.
      names: names of the parameters in the file.
      tensors: tensors in the file.
      folder: folder of the file, for messages.
      positions: brings position embeddings to the size of the images.

    Raises:
      InputError: tensors are missing, too many, or of another shape; they are named.
    """
    tensors = names.stripped(tensors)
    flat, used, missing = [], set(), []
    for path, leaf in nnx.to_flat_state(state):
        place = names.place_of(path)
        used.add(place.name)
        if place.name not in tensors:
            missing.append(place.name)
            continue
        value = _ours(tensors[place.name], place, path)
        value = positions(value) if path == ("positions",) else value
        if value.shape != leaf.shape:
            raise InputError(
                f"the tensor {place.name} in {folder} does not fit: it has the sizes {list(value.shape)}, where "
                f"its config.json speaks of {list(leaf.shape)}"
            )
        # A copy of its own: a step donates its parameters.
        flat.append((path, leaf.replace(np.array(value, np.float32))))
    extra = [name for name in tensors if name not in used and not re.match(names.ignored, name)]
    for what, found in (("lack", missing), ("have, besides what is known,", extra)):
        if found:
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise InputError(f"the weights in {folder} {what} {', '.join(found[:SHOWN])}{more}")
    return nnx.from_flat_state(flat)


def _ours(x: np.ndarray, place: Place, path: tuple) -> np.ndarray:
    """PyTorch's axes in our order."""
    if place.n_parts > 1:
        x = np.split(x, place.n_parts)[place.part] if len(x) % place.n_parts == 0 else x
    if path[-1] == "kernel":
        return x.transpose(2, 3, 1, 0) if x.ndim == 4 else x.T
    while path[-1] not in LEAVES and x.ndim > 1 and len(x) == 1 and path[-1] not in ("registers", "positions"):
        x = x[0]
    return x[0] if path[-1] in ("registers", "positions") and x.ndim == 3 else x
