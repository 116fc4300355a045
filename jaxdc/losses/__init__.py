"""Losses and assignment functions of deep clustering, as pure functions of arrays.

Nothing here knows of a network, an optimizer or a device mesh, and importing it loads JAX alone.
A loss returns one value per sample, ``[b]``; the caller takes the mean.
"""

from jaxdc.losses.assignment import kl_divergence as kl_divergence
from jaxdc.losses.assignment import student_t_assignment as student_t_assignment
from jaxdc.losses.assignment import target_distribution as target_distribution
from jaxdc.losses.reconstruction import gaussian_kl as gaussian_kl
from jaxdc.losses.reconstruction import squared_error as squared_error
