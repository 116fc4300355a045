"""Pretrained image encoders, read from a folder: one ViT, ResNet-50 and EfficientNet-lite, without PyTorch."""

from jaxdc.nn.encoders.kinds import UnknownEncoder as UnknownEncoder
from jaxdc.nn.encoders.model import ImageModel as ImageModel
from jaxdc.nn.encoders.model import open_encoder as open_encoder
from jaxdc.nn.encoders.preprocess import Preprocess as Preprocess
