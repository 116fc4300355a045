"""Workspaces: finds documents that people use together, from a log of their accesses.

from jaxdc.workspaces import Finder, read_events
found = Finder().find(read_events(Path("log.csv")))
found.labels
"""

from jaxdc.workspaces.events import Events as Events
from jaxdc.workspaces.events import read_events as read_events
from jaxdc.workspaces.events import read_labels as read_labels
from jaxdc.workspaces.events import read_texts as read_texts
from jaxdc.workspaces.events import texts_in_order as texts_in_order
from jaxdc.workspaces.find import Finder as Finder
from jaxdc.workspaces.find import Workspaces as Workspaces
from jaxdc.workspaces.made_logs import LogMaker as LogMaker
from jaxdc.workspaces.made_logs import MadeLog as MadeLog
from jaxdc.workspaces.sessions import co_access_pairs as co_access_pairs
from jaxdc.workspaces.sessions import split_sessions as split_sessions
from jaxdc.workspaces.towers import Towers as Towers
