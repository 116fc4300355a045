"""How many clusters there are: scores of each number without labels, and a recommendation with its uncertainty."""

from jaxdc.choosing.run import choose_k as choose_k
from jaxdc.choosing.scores import Choice as Choice
from jaxdc.choosing.scores import KScores as KScores
from jaxdc.choosing.scores import choose as choose
from jaxdc.choosing.scores import k_scores as k_scores
