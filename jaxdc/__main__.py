"""``python -m jaxdc``, the same as ``jaxdc``."""

from jaxdc.cli import main

main()
