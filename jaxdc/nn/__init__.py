"""Flax NNX modules that several methods share."""

from jaxdc.nn.autoencoder import MLP as MLP
from jaxdc.nn.autoencoder import Encoder as Encoder
