"""The methods. Each method is one file, named after the method and registered by being in this package.

``ALL`` maps each name on the command line to a factory that takes ``n_clusters``. The classes are attributes of
this package: ``from jaxdc.methods import DEC``. ``__init__.pyi`` lists them for type checkers and is
generated.
"""

import importlib
import pkgutil
from collections.abc import Callable

from jaxdc.methods.base import DataSpec as DataSpec
from jaxdc.methods.base import Entry as Entry
from jaxdc.methods.base import Method as Method
from jaxdc.methods.base import classes as classes
from jaxdc.methods.base import entries as entries
from jaxdc.methods.base import register as register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
globals().update({entry.method.__name__: entry.method for entry in entries() if entry.is_listed})

ALL: dict[str, Callable[..., Method]] = {entry.name: entry.make for entry in entries() if entry.is_listed}
