"""``jaxdc list``: lists the methods and the data sets."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from jaxdc import methods
from jaxdc.cli.method_options import about, kind_of
from jaxdc.data.open import NAMES


def main(arguments: Sequence[str], console: Console) -> None:
    """Prints the methods and the data sets."""
    del arguments, console
    console = Console()
    table = Table("method", "recipes", "description", box=None, pad_edge=False)
    for name, make in methods.ALL.items():
        table.add_row(name, ", ".join(kind_of(make).recipe_names), about(make))
    console.print(table)
    console.print(f"\ndata sets: {', '.join(NAMES)} (all but digits need the extra jaxdc[data])", markup=False)
