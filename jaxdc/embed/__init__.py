"""Images, brought before a pretrained encoder: their vectors, computed once and kept."""

from jaxdc.embed.encoder import ImageEncoder as ImageEncoder
from jaxdc.embed.run import embed as embed
from jaxdc.embed.run import embedded as embedded
from jaxdc.embed.run import in_memory as in_memory
from jaxdc.embed.run import with_note as with_note
from jaxdc.embed.source import EmbeddedSource as EmbeddedSource
