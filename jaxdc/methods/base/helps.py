"""Extracts the help of each field from a class's docstring, for the command line and the estimators."""

from __future__ import annotations

import docstring_parser


def helps_of(owner: type) -> dict[str, str]:
    """The help of each field, from the docstrings of a class and its bases."""
    helps: dict[str, str] = {}
    for base in owner.__mro__:
        for entry in docstring_parser.parse(base.__doc__ or "").params:
            helps.setdefault(entry.arg_name, " ".join((entry.description or "").split()))
    return helps
