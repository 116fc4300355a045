"""Documents: reading them from disk, and vectorising them with a pluggable vectoriser."""

from jaxdc.data.text.documents import Documents as Documents
from jaxdc.data.text.documents import holds_texts as holds_texts
from jaxdc.data.text.documents import read_documents as read_documents
from jaxdc.data.text.documents import split_names as split_names
from jaxdc.data.text.embedding import Embedding as Embedding
from jaxdc.data.text.embedding import FunctionEmbedding as FunctionEmbedding
from jaxdc.data.text.embedding import Tokens as Tokens
from jaxdc.data.text.skip_gram import SkipGram as SkipGram
from jaxdc.data.text.source import TextSource as TextSource
from jaxdc.data.text.source import fingerprint_of as fingerprint_of
from jaxdc.data.text.tfidf import TfIdf as TfIdf
from jaxdc.data.text.vectorizer import Fitted as Fitted
from jaxdc.data.text.vectorizer import Vectorizer as Vectorizer
from jaxdc.data.text.word_clusters import WordClusters as WordClusters
