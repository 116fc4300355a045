"""Networks: nodes with or without features, and the edges between them.

Files: ``.npz``, a ``.csv`` of edges, ``.mtx``, ``.graphml`` and ``.gml``. A sample is a node's features. Edges are
undirected and have no weights: what a file says beyond that is left out, and ``understood`` says so.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from jaxdc.data.sources import ArraySource
from jaxdc.data.views import LABELS
from jaxdc.errors import InputError
from jaxdc.methods.base import Graph
from jaxdc.reading import Archive, kind_of_arrays

SUFFIXES = (".mtx", ".graphml", ".gml")  # of files that can only be networks
ENDS = (("source", "target"), ("src", "dst"), ("from", "to"))  # headers of a table of edges
IDENTITY = 8192  # most nodes without features that are described by the identity
SKETCH = 128  # width of the random features of more nodes


class GraphSource(ArraySource):
    """The nodes of a network.

    Args:
      edges: ``[m, 2]`` pairs of nodes, numbered from 0.
      x: features ``[n, d]``; None stands for the identity, or for random features of more than 8,192 nodes.
      labels: classes ``[n]``, for scoring.
      n_nodes: number of nodes, if there are no features to tell it (default: the largest number in ``edges``, plus
        1).
      sample_names: name of each node.
      name: name for messages.
      left_out: what else the file holds, in words.

    Raises:
      InputError: there are no edges, or edges to nodes that do not exist.
    """

    def __init__(
        self,
        edges,
        x=None,
        labels=None,
        *,
        n_nodes: int | None = None,
        sample_names: Sequence[str] | None = None,
        name: str = "network",
        left_out: str = "",
    ):
        edges = _checked(edges, name)
        if x is not None:
            n_nodes = len(x)
        elif n_nodes is None:
            n_nodes = int(edges.max()) + 1 if labels is None else len(labels)
        wrong = edges[(edges < 0) | (edges >= n_nodes)]
        if len(wrong):
            raise InputError(
                f"{name} has an edge to node {wrong[0]}, but its {n_nodes:,} nodes must be numbered from 0 to "
                f"{n_nodes - 1}"
            )
        graph = Graph(n_nodes, edges)
        features = f"{np.shape(x)[1]:,} features" if x is not None and np.ndim(x) == 2 else "without features"
        if x is None:
            x = _in_place_of_features(n_nodes)
        super().__init__(x, labels, sample_names=sample_names, name=name, protocol="all nodes")
        self.graph = graph
        told = [f"a network of {n_nodes:,} nodes and {graph.n_edges:,} undirected edges, {features}"]
        told.append("label: none" if labels is None else "with classes")
        loops, again = graph.n_self_loops, graph.n_duplicates
        if loops:
            told.append(f"dropped {_many(loops, 'self-loop')}")
        if again:
            told.append(f"dropped {_many(again, 'edge')} given before, in the same or the other direction")
        isolated = int(np.sum(graph.degrees == 0))
        if isolated:
            told.append(f"{_many(isolated, 'node')} without edges, kept")
        components = graph.n_components()
        if components > 1:
            told.append(f"{components:,} components")
        if left_out:
            told.append(f"left out: {left_out}")
        self.understood = "; ".join(told)

    def fingerprint(self):
        ends = np.stack([self.graph.sources, self.graph.targets])
        return f"{super().fingerprint()}, {self.graph.n_edges} edges crc32 {zlib.crc32(ends.tobytes()):08x}"


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _checked(edges, name: str) -> np.ndarray:
    edges = np.asarray(edges)
    if edges.ndim == 2 and edges.shape[0] == 2 != edges.shape[1]:
        edges = edges.T
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iuf":
        raise InputError(f"the edges of {name} must be numbers [m, 2], but are {edges.dtype} {list(edges.shape)}")
    if not len(edges):
        raise InputError(f"{name} has no edges")
    if edges.dtype.kind == "f" and not np.array_equal(edges, np.floor(edges)):
        raise InputError(f"the edges of {name} must be whole numbers: the two nodes of each edge")
    return edges.astype(np.int64)


def _in_place_of_features(n: int) -> np.ndarray:
    """The identity, or random columns whose products are close to those of the identity."""
    if n <= IDENTITY:
        return np.eye(n, dtype=np.float32)
    return np.random.default_rng(0).normal(size=(n, SKETCH)).astype(np.float32) / np.float32(np.sqrt(SKETCH))


def holds_graph(path: Path) -> bool:
    """Whether a file holds a network: by its suffix, the arrays of an ``.npz``, or the header of a ``.csv``."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                return bool({"edges.npy", "adj_indptr.npy"} & set(archive.namelist()))
        except (OSError, zipfile.BadZipFile):
            return False
    if suffix == ".csv":
        try:
            with path.open(newline="", encoding="utf-8-sig") as lines:
                header = tuple(cell.strip().lower() for cell in next(csv.reader(lines), ()))
        except (OSError, UnicodeDecodeError, csv.Error):
            return False
        return header[:2] in ENDS and header[2:] in ((), ("weight",))
    return suffix in SUFFIXES


def load_graph(path: Path) -> GraphSource:
    """Loads a network.

    ``.npz``: ``edges [m, 2]``, or a sparse matrix ``adj_data``, ``adj_indices``, ``adj_indptr``, ``adj_shape``;
    features ``x [n, d]``, or a sparse matrix ``x_*`` or ``attr_*``; classes under a name like ``label`` or ``y``;
    ``node_names [n]``. ``.csv``: a line per edge under the header ``source,target``; the nodes may have any names.
    ``.mtx``: an adjacency matrix. ``.graphml`` and ``.gml`` are read by networkx.

    Raises:
      InputError: the file can't be read, or holds no valid network.
    """
    try:
        if path.suffix.lower() == ".npz":
            return _load_npz(path)
        if path.suffix.lower() == ".csv":
            return _load_csv(path)
        if path.suffix.lower() == ".mtx":
            return _load_mtx(path)
    except InputError:
        raise
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} can't be read as a network: {what}") from error
    return _load_networkx(path)


def _load_npz(path: Path) -> GraphSource:
    if kind_of_arrays(path) == ".npy":
        raise InputError(f"{path} is an .npy array: rename it to .npy")
    archive = Archive(path)
    held = set(archive.files)
    if "edges" in held:
        edges, n_nodes = archive["edges"], None
    else:
        adjacency: Any = _sparse(archive, "adj").tocoo()
        if adjacency.shape[0] != adjacency.shape[1]:
            raise InputError(f"the adjacency matrix of {path} must be square, but is {adjacency.shape}")
        edges, n_nodes = np.stack([adjacency.row, adjacency.col], axis=1), adjacency.shape[0]
    x = archive["x"] if "x" in held else None
    for prefix in ("x", "attr"):
        if x is None and f"{prefix}_indptr" in held:
            x = _sparse(archive, prefix).toarray()
    key = next((key for key in archive.files if key.lower() in LABELS), None)
    labels = None if key is None else archive[key]
    names = [str(one) for one in archive["node_names"]] if "node_names" in held else None
    weights = "the weights of the edges" if held & {"edge_weight", "edge_weights"} else ""
    return GraphSource(edges, x, labels, n_nodes=n_nodes, sample_names=names, name=str(path), left_out=weights)


def _sparse(archive, prefix: str) -> scipy.sparse.csr_array:
    parts = (archive[f"{prefix}_data"], archive[f"{prefix}_indices"], archive[f"{prefix}_indptr"])
    made = scipy.sparse.csr_array(parts, shape=tuple(int(side) for side in archive[f"{prefix}_shape"]))
    made.check_format()
    return made


def _load_csv(path: Path) -> GraphSource:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        weighted = len(next(lines)) > 2
        pairs = []
        for line in filter(None, lines):
            if len(line) < 2 or not line[0].strip() or not line[1].strip():
                raise InputError(f"{path} has no two nodes in line {lines.line_num}")
            pairs.append((line[0].strip(), line[1].strip()))
    ends = np.array(pairs).reshape(-1)
    if not len(ends):
        raise InputError(f"{path} has no edges")
    names, numbers = np.unique(ends, return_inverse=True)
    if all(one.isdecimal() for one in names.tolist()):  # 2 before 10
        rank = np.argsort(names.astype(np.int64), kind="stable")
        names, numbers = names[rank], np.argsort(rank)[numbers]
    left = "the weights of the edges" if weighted else ""
    return GraphSource(numbers.reshape(-1, 2), sample_names=names.tolist(), name=str(path), left_out=left)


def _load_mtx(path: Path) -> GraphSource:
    import scipy.io

    matrix = scipy.sparse.coo_array(scipy.io.mmread(path, spmatrix=False))
    if matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"{path} must be a square adjacency matrix, but has the shape {list(matrix.shape)}")
    weighted = bool(np.any(matrix.data != 1))
    edges = np.stack([matrix.row, matrix.col], axis=1)
    left = "the weights of the edges" if weighted else ""
    return GraphSource(edges, n_nodes=matrix.shape[0], name=str(path), left_out=left)


def _load_networkx(path: Path) -> GraphSource:
    try:
        import networkx
    except ImportError:
        raise InputError(
            f"reading {path} needs networkx, which is not installed: pip install 'jaxdc[graphs]'"
        ) from None
    read = networkx.read_gml if path.suffix.lower() == ".gml" else networkx.read_graphml
    try:
        network = read(path)
    except Exception as error:  # whatever a damaged file makes of the reader
        raise InputError(f"{path} can't be read as a network: {str(error).splitlines()[0]}") from error
    names = list(network.nodes)
    number = {node: i for i, node in enumerate(names)}
    edges = np.array([(number[a], number[b]) for a, b in network.edges()]).reshape(-1, 2)
    if not len(edges):
        raise InputError(f"{path} has no edges")
    return GraphSource(edges, n_nodes=len(names), sample_names=[str(one) for one in names], name=str(path))
