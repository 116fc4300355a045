"""From what a folder says of its encoder to the settings of a network: one function a kind.

Nested ``config.json`` files leave out what equals the defaults of the class that wrote them; so these stand here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxdc.errors import InputError
from jaxdc.nn.encoders import names
from jaxdc.nn.encoders.efficientnet import EfficientNetSettings
from jaxdc.nn.encoders.names import Names, vit_names
from jaxdc.nn.encoders.preprocess import IMAGENET, Preprocess, of_hugging_face, of_timm
from jaxdc.nn.encoders.vit import ViTSettings
from jaxdc.nn.resnet import BLOCKS


class UnknownEncoder(InputError):
    """An encoder that is whole, but of a kind that is not implemented here."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSettings:
    """Those of ``jaxdc.nn.ResNet`` of depth 50 with ImageNet's stem.

    Attributes:
      width: channels of the first stage.
    """

    width: int = 64


class Kind(NamedTuple):
    """An encoder as its folder describes it.

    Attributes:
      name: name of the kind, such as "dinov2".
      settings: architecture of the network.
      names: names of the parameters in its file.
      preprocess: preprocessing of images.
      antialias: how its position embeddings are resized.
    """

    name: str
    settings: ViTSettings | EfficientNetSettings | ResNetSettings
    names: Names
    preprocess: Preprocess
    antialias: bool = False


ACTIVATIONS = {"gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh", "swish": "silu"}
CLIP_SCALE: dict[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
CLIP_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "projection_dim": 512,
}
SIGLIP_DEFAULTS = CLIP_DEFAULTS | {"patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
# What timm's files leave to the name of the architecture: the activation, and the heads, which are of 64 features
# each but in large models.
TIMM_SIZES = (
    "tiny",
    "small",
    "medium",
    "base",
    "large",
    "so150m",
    "huge",
    "so400m",
    "giant",
    "giantopt",
    "gigantic",
)
TIMM_16_HEADS = ("huge", "so400m", "giant", "giantopt", "gigantic")
TIMM_TANH = r"vit_(base_patch32_siglip|large_patch16_siglip(_gap)?_512|so400m_patch16_siglip|giantopt_)"


def _shared(config: Mapping[str, Any], activation: str | None = None) -> dict[str, Any]:
    """What all of Hugging Face's ViTs call alike."""
    activation = activation or config["hidden_act"]
    return {
        "width": config["hidden_size"],
        "depth": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "patch": _side(config, "patch_size"),
        "channels": config["num_channels"],
        "activation": ACTIVATIONS.get(str(activation), activation),
        "epsilon": config["layer_norm_eps"],
    }


def _side(config: Mapping[str, Any], name: str) -> int:
    """A size that is one number, or the same twice."""
    value = config[name]
    sides = set(value) if isinstance(value, list) else {value}
    if len(sides) != 1:
        raise InputError(f"{name} is {value}, where a square is needed")
    return int(sides.pop())


def _dinov2(config: Mapping[str, Any], said: Mapping[str, Any] | None, where: str) -> Kind:
    preprocess = of_hugging_face(said, Preprocess(side=224, resize=256), where)
    with_registers = config["model_type"] == "dinov2_with_registers"
    config = {"num_channels": 3, "layer_norm_eps": 1e-6, "hidden_act": "gelu", "mlp_ratio": 4, **config}
    hidden, gated = int(config["hidden_size"] * config["mlp_ratio"]), config.get("use_swiglu_ffn", False)
    if gated:
        hidden = (int(hidden * 2 / 3) + 7) // 8 * 8
    biases = ("query", "key", "value", "out", "mlp") if config.get("qkv_bias", True) else ("out", "mlp")
    settings = ViTSettings(
        **_shared(config, activation="silu" if gated else None),
        hidden=hidden,
        gated=gated,
        biases=biases,
        side=preprocess.side,
        registers=config.get("num_register_tokens", 4) if with_registers else 0,
        layer_scale=True,
    )
    table = names.DINOV2_GATED if gated else names.DINOV2
    return Kind(config["model_type"], settings, vit_names(table), preprocess, antialias=with_registers)


def _dinov3(config: Mapping[str, Any], said: Mapping[str, Any] | None, where: str) -> Kind:
    default = Preprocess(side=224, resize=224, resample="bilinear", stretch=True)
    preprocess = of_hugging_face(said, default, where)
    config = {
        "num_channels": 3,
        "layer_norm_eps": 1e-5,
        "hidden_act": "gelu",
        "patch_size": 16,
        "key_bias": False,
        **config,
    }
    biases = {
        "query": "query_bias",
        "key": "key_bias",
        "value": "value_bias",
        "out": "proj_bias",
        "mlp": "mlp_bias",
    }
    settings = ViTSettings(
        **_shared(config),
        hidden=config["intermediate_size"],
        gated=config.get("use_gated_mlp", False),
        biases=tuple(ours for ours, theirs in biases.items() if config.get(theirs, True)),
        side=preprocess.side,
        registers=config.get("num_register_tokens", 0),
        positions="rotary",
        rotary_base=config.get("rope_theta", 100.0),
        layer_scale=True,
    )
    return Kind("dinov3_vit", settings, vit_names(names.DINOV3), preprocess)


def _clip(config: Mapping[str, Any], said: Mapping[str, Any] | None, where: str) -> Kind:
    whole = config["model_type"] == "clip"
    vision = CLIP_DEFAULTS | dict(config.get("vision_config") or {} if whole else config)
    side = _side(vision, "image_size")
    preprocess = of_hugging_face(said, Preprocess(side=side, resize=side, **CLIP_SCALE), where)
    projected = whole or "CLIPVisionModelWithProjection" in (config.get("architectures") or ())
    width = config.get("projection_dim", 512) if whole else vision["projection_dim"]
    settings = ViTSettings(
        **_shared(vision),
        hidden=vision["intermediate_size"],
        side=preprocess.side,
        patch_bias=False,
        norm_before=True,
        projection=width if projected else None,
    )
    return Kind("clip", settings, vit_names(names.CLIP), preprocess)


def _siglip(config: Mapping[str, Any], said: Mapping[str, Any] | None, where: str) -> Kind:
    nested = config.get("vision_config") or {}
    vision = SIGLIP_DEFAULTS | dict(nested if config["model_type"] == "siglip" else config)
    side, pools = _side(vision, "image_size"), vision.get("vision_use_head", True)
    default = Preprocess(side=side, resize=side, stretch=True, **HALF)
    preprocess = of_hugging_face(said, default, where)
    settings = ViTSettings(
        **_shared(vision),
        hidden=vision["intermediate_size"],
        side=preprocess.side,
        class_token=False,
        positions="patches",
        # A file without a head stands for no vector of the image: the mean of its tokens is taken, after the norm.
        pooling="attention" if pools else "mean",
        pooled_hidden=vision["intermediate_size"] if pools else 0,
    )
    return Kind("siglip", settings, vit_names(names.SIGLIP), preprocess)


def _hf_resnet(config: Mapping[str, Any], said: Mapping[str, Any] | None, where: str) -> Kind:
    depths, sizes = list(config.get("depths") or BLOCKS[50]), list(config.get("hidden_sizes") or ())
    known = config.get("layer_type", "bottleneck") == "bottleneck" and not config.get("downsample_in_bottleneck")
    width = int(config.get("embedding_size", 64))
    if tuple(depths) != BLOCKS[50] or not known or (sizes and sizes != [4 * width * 2**i for i in range(4)]):
        raise UnknownEncoder(f"{where}: of the ResNets of transformers, ResNet-50 alone is known here")
    default = Preprocess(side=224, resize=256, resample="bilinear")
    return Kind(
        "resnet50",
        ResNetSettings(width=width),
        names.resnet_names(50, True),
        of_hugging_face(said, default, where),
    )


HUGGING_FACE: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any] | None, str], Kind]] = {
    "dinov2": _dinov2,
    "dinov2_with_registers": _dinov2,
    "dinov3_vit": _dinov3,
    "clip": _clip,
    "clip_vision_model": _clip,
    "siglip": _siglip,
    "siglip_vision_model": _siglip,
    "resnet": _hf_resnet,
}
KNOWN = (*HUGGING_FACE, "timm's vit_* and resnet50", "torchvision's resnet50", "efficientnet-lite0")


def of_config(
    config: Mapping[str, Any],
    said: Mapping[str, Any] | None,
    tensors: Callable[[], Mapping[str, np.ndarray]],
    where: str,
) -> Kind:
    """The encoder of a ``config.json``.

    Args:
      config: its content.
      said: content of ``preprocessor_config.json``, or None.
      tensors: reads the weights, whose shapes say what timm's files leave open.
      where: the folder, for messages.

    Raises:
      UnknownEncoder: it is of no kind that is known here.
      InputError: the file lacks something.
    """
    kind = config.get("model_type")
    try:
        if kind in HUGGING_FACE:
            return HUGGING_FACE[kind](config, said, where)
        if isinstance(config.get("architecture"), str):
            return _timm(config, tensors(), where)
    except KeyError as error:
        raise InputError(f"the config.json of {where} has no {error.args[0]}") from error
    except UnknownEncoder:
        raise
    except InputError as error:
        raise InputError(str(error) if where in str(error) else f"the config.json of {where}: {error}") from error
    except (TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"the config.json of {where} is damaged: {error}") from error
    if kind == "siglip2":
        raise UnknownEncoder(
            f"the encoder in {where} is a SigLIP 2 of flexible size (NaFlex), which is not known here; take one "
            "of fixed size, such as siglip2-base-patch16-224"
        )
    if kind is None:
        raise InputError(f"{where} is no encoder: its config.json names neither a model_type nor an architecture")
    raise UnknownEncoder(f"the encoder in {where} is a {kind!r}; known are {', '.join(KNOWN)}")


def of_tensors(tensors: Mapping[str, np.ndarray], where: str) -> Kind:
    """The encoder of a folder that has no ``config.json``, by what its tensors are called.

    Raises:
      UnknownEncoder: they are those of no kind that is known here.
    """
    efficientnet = names.efficientnet_names()
    if "_conv_stem.weight" in efficientnet.stripped(tensors):
        preprocess = Preprocess(side=224, resize=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
        return Kind("efficientnet-lite0", EfficientNetSettings(), efficientnet, preprocess)
    return _resnet50(tensors, Preprocess(side=224, resize=256, resample="bilinear", **IMAGENET), where)


def _resnet50(tensors: Mapping[str, np.ndarray], preprocess: Preprocess, where: str) -> Kind:
    found = names.resnet_names(50, False)
    tensors = found.stripped(tensors)
    if (
        not {"conv1.weight", "bn1.weight", "layer3.5.conv3.weight"} <= set(tensors)
        or "layer3.6.conv1.weight" in tensors
    ):
        raise UnknownEncoder(
            f"the weights in {where} are of no network that is known here; known are {', '.join(KNOWN)}"
        )
    return Kind("resnet50", ResNetSettings(width=len(tensors["conv1.weight"])), found, preprocess)


def _timm(config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], where: str) -> Kind:
    architecture = config["architecture"]
    said = {**(config.get("pretrained_cfg") or {})}
    preprocess = of_timm(said, where)
    if architecture == "resnet50":
        return _resnet50(tensors, preprocess, where)
    family, _, rest = architecture.partition("_")
    size = rest.partition("_")[0]
    is_vit = family in ("vit", "deit", "deit3") and size in TIMM_SIZES
    if not is_vit or not {"patch_embed.proj.weight", "pos_embed"} <= set(tensors):
        raise UnknownEncoder(
            f"the encoder in {where} is timm's {architecture!r}; known are {', '.join(KNOWN)}"
            + ("; of DINOv3, take the folder of transformers" if "dinov3" in architecture else "")
        )
    given = {**(config.get("model_args") or {})}
    width, channels, patch, _ = tensors["patch_embed.proj.weight"].shape
    heads = 24 if (size, width) == ("giant", 1536) else 16 if size in TIMM_16_HEADS else width // 64
    hidden = len(tensors["blocks.0.mlp.fc1.weight"])
    gated = hidden == 2 * tensors["blocks.0.mlp.fc2.weight"].shape[1]
    n_positions, is_clip = tensors["pos_embed"].shape[1], "_clip_" in architecture or "norm_pre.weight" in tensors
    pooling = {"token": "class", "avg": "mean", "map": "attention"}.get(config.get("global_pool") or "token")
    if pooling is None:
        raise UnknownEncoder(f"{where}: global_pool {config['global_pool']!r} is not known here")
    activation = "gelu_tanh" if re.match(TIMM_TANH, architecture) else "gelu"
    if "quickgelu" in architecture or said.get("tag") == "openai":
        activation = "quick_gelu"
    has_class = "cls_token" in tensors
    # Without a place for the class token, as in the files with registers, the grid alone is a square.
    on_patches = not has_class or round(n_positions**0.5) ** 2 == n_positions
    settings = ViTSettings(
        width=width,
        depth=1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks.")),
        heads=given.get("num_heads") or heads,
        hidden=hidden // 2 if gated else hidden,
        patch=patch,
        side=preprocess.side,
        channels=channels,
        class_token=has_class,
        registers=tensors["reg_token"].shape[1] if "reg_token" in tensors else 0,
        positions="patches" if on_patches else "all",
        patch_bias="patch_embed.proj.bias" in tensors,
        biases=tuple(
            ours
            for ours, theirs in (
                *((name, "attn.qkv") for name in ("query", "key", "value")),
                ("out", "attn.proj"),
                ("mlp", "mlp.fc1"),
            )
            if f"blocks.0.{theirs}.bias" in tensors
        ),
        norm_before="norm_pre.weight" in tensors,
        norm_after="tokens" if "norm.weight" in tensors else "mean" if "fc_norm.weight" in tensors else None,
        layer_scale="blocks.0.ls1.gamma" in tensors,
        activation="silu" if gated else activation,
        gated=gated,
        epsilon=1e-5 if is_clip else 1e-6,
        pooling=pooling,  # pyright: ignore[reportArgumentType]
        pooled_hidden=len(tensors["attn_pool.mlp.fc1.weight"]) if pooling == "attention" else 0,
    )
    table = names.TIMM_GATED if gated else names.TIMM
    if "fc_norm.weight" in tensors:
        table = table | {"norm": "fc_norm.{leaf}"}
    return Kind(
        f"timm {architecture}", settings, vit_names(table, r"head\.|head_dist\.|fc_norm\.$"), preprocess, True
    )
