"""``python -m jaxdc.cli``, the same as ``jaxdc``."""

from jaxdc.cli import main

main()
