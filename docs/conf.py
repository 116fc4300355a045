"""Sphinx settings for these pages: ``pip install '.[docs]'``, then ``sphinx-build -W -b html docs site``."""

from jaxdc.version import __version__

project = "jaxdc"
version = release = __version__
project_copyright = "the jaxdc authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"jaxdc {__version__}"
html_copy_source = False
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings describe arguments and shapes
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = False
