"""Runs: fitting, run folders, results and progress, on top of the training loop in ``jaxdc.train``."""

from jaxdc.runs.fit import fit as fit
from jaxdc.runs.result import Result as Result
from jaxdc.runs.result import load as load
