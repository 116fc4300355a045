"""The number of clusters: label-free scores of each candidate, and a recommendation with its uncertainty."""

from jaxdc.choose_k.run import choose_k as choose_k
from jaxdc.choose_k.scores import Choice as Choice
from jaxdc.choose_k.scores import KScores as KScores
from jaxdc.choose_k.scores import choose as choose
from jaxdc.choose_k.scores import k_scores as k_scores
