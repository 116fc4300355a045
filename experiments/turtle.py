"""TURTLE on six views of 2,000 handwritten digits (UCI multiple features), beside k-means and TEMI.

jaxdc run experiments/turtle.py --data mfeat.npz
"""

from jaxdc.methods import TEMI, TURTLE, KMeans

ROWS = {"k-means": KMeans(n_clusters=10), "TURTLE": TURTLE(n_clusters=10), "TEMI": TEMI(n_clusters=10)}
VIEWS = "fou,fac,kar,zer,mor,pix"
SEEDS = (0, 1, 2, 3, 4)
