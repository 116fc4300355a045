"""Flax NNX modules shared by several methods."""

from jaxdc.nn.autoencoder import MLP as MLP
from jaxdc.nn.autoencoder import Encoder as Encoder
from jaxdc.nn.backbone import Backbone as Backbone
from jaxdc.nn.convolutional import ConvDecoder as ConvDecoder
from jaxdc.nn.convolutional import ConvEncoder as ConvEncoder
from jaxdc.nn.ema import ema as ema
from jaxdc.nn.frozen import Frozen as Frozen
from jaxdc.nn.frozen import freeze as freeze
from jaxdc.nn.heads import ClusterHead as ClusterHead
from jaxdc.nn.heads import ClusterHeads as ClusterHeads
from jaxdc.nn.heads import ProjectionHead as ProjectionHead
from jaxdc.nn.norm import BatchNorm as BatchNorm
from jaxdc.nn.pretrained import Pretrained as Pretrained
from jaxdc.nn.resnet import ResNet as ResNet
