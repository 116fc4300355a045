"""The one training loop that every method shares."""

from jaxdc.training.fit import fit as fit
from jaxdc.training.result import Result as Result
from jaxdc.training.result import load as load
