"""Describes clusters by size, key terms, most central and most doubtful members, and a summary."""

from jaxdc.describe.clusters import Cluster as Cluster
from jaxdc.describe.clusters import Member as Member
from jaxdc.describe.clusters import describe as describe
from jaxdc.describe.hierarchy import Join as Join
from jaxdc.describe.hierarchy import hierarchy as hierarchy
from jaxdc.describe.members import central_members as central_members
from jaxdc.describe.members import cluster_means as cluster_means
from jaxdc.describe.members import doubtful_members as doubtful_members
from jaxdc.describe.summary import summarize as summarize
from jaxdc.describe.terms import class_terms as class_terms
