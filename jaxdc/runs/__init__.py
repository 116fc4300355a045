"""A run as a thing: fit, its folder, its result, its progress. ``jaxdc.train`` trains; this tells and keeps."""

from jaxdc.runs.fit import fit as fit
from jaxdc.runs.result import Result as Result
from jaxdc.runs.result import load as load
