"""Finds exact and near duplicates among the samples of a run."""

from jaxdc.duplicates.groups import exact_groups as exact_groups
from jaxdc.duplicates.groups import near_groups as near_groups
from jaxdc.duplicates.run import Duplicates as Duplicates
from jaxdc.duplicates.run import duplicates_of as duplicates_of
from jaxdc.duplicates.run import duplicates_of_run as duplicates_of_run
