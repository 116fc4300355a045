"""Classical clustering algorithms as jitted functions of arrays; importing it loads only JAX.

Samples that are sharded over their rows stay in place, on meshes with Auto axes; on a mesh with Explicit
axes, call these functions within ``jax.sharding.auto_axes``.
"""

from jaxdc.cluster.balance import BalancedLabels as BalancedLabels
from jaxdc.cluster.balance import balanced_labels as balanced_labels
from jaxdc.cluster.balance import balanced_order as balanced_order
from jaxdc.cluster.empty import Reassigned as Reassigned
from jaxdc.cluster.empty import reassign_empty as reassign_empty
from jaxdc.cluster.kmeans import KMeansResult as KMeansResult
from jaxdc.cluster.kmeans import k_means as k_means
from jaxdc.cluster.kmeans import nearest_centroid as nearest_centroid
from jaxdc.cluster.linkage import graph_degree_linkage as graph_degree_linkage
from jaxdc.cluster.linkage import nearest_neighbor_chains as nearest_neighbor_chains
from jaxdc.cluster.minibatch import MiniBatchResult as MiniBatchResult
from jaxdc.cluster.minibatch import mini_batch_k_means as mini_batch_k_means
from jaxdc.cluster.minibatch import mini_batch_update as mini_batch_update
from jaxdc.cluster.mixture import MixtureResult as MixtureResult
from jaxdc.cluster.mixture import gaussian_mixture as gaussian_mixture
from jaxdc.cluster.neighbors import Neighbors as Neighbors
from jaxdc.cluster.neighbors import nearest_neighbors as nearest_neighbors
from jaxdc.cluster.neighbors import neighbor_votes as neighbor_votes
from jaxdc.cluster.spectral import SpectralResult as SpectralResult
from jaxdc.cluster.spectral import spectral_clustering as spectral_clustering
from jaxdc.cluster.subspace import coefficient_neighbors as coefficient_neighbors
from jaxdc.cluster.subspace import ridge_weight as ridge_weight
from jaxdc.cluster.subspace import subspace_affinity as subspace_affinity
from jaxdc.cluster.whitening import PCAWhitening as PCAWhitening
from jaxdc.cluster.whitening import pca_whiten as pca_whiten
