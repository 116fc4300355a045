"""Changes the clusters of a finished run: merges, divides, renames or drops them, and rejects outliers."""

from jaxdc.edit.run import Edited as Edited
from jaxdc.edit.run import edit_run as edit_run
