"""Runs: fitting, the run folder, the result, progress. ``jaxdc.train`` trains; this package reports and keeps."""

from jaxdc.runs.fit import fit as fit
from jaxdc.runs.result import Result as Result
from jaxdc.runs.result import load as load
