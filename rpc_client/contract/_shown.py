"""Types as people read them: without the bounds on their values, and without the names of modules."""

from __future__ import annotations

import functools
import inspect
import operator
import re
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

_MODULE = re.compile(r"\b(?:\w+\.)+(?=\w)")


def shown_signature(signature: inspect.Signature) -> str:
    """A signature in plain types."""
    plain = [p.replace(annotation=_plain(p.annotation)) for p in signature.parameters.values()]
    shown = signature.replace(parameters=plain, return_annotation=_plain(signature.return_annotation))
    return _bare(str(shown))


def shown_type(annotation: Any) -> str:
    """One plain type."""
    return _bare(inspect.formatannotation(_plain(annotation)))


def _bare(text: str) -> str:
    return _MODULE.sub("", text).replace("NoneType", "None")


def _plain(annotation: Any) -> Any:
    """A type without what ``Annotated`` says about its values, at any depth."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in {UnionType, Union}:
        return functools.reduce(operator.or_, map(_plain, get_args(annotation)))
    if isinstance(annotation, GenericAlias):
        return GenericAlias(get_origin(annotation), tuple(map(_plain, get_args(annotation))))
    return annotation
