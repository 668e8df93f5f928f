"""``fingerprint``: the same for failures of one cause, whichever values they met."""

from __future__ import annotations

import hashlib
import re
from itertools import groupby

import orjson

_FRAME = re.compile(r'^ *File "([^"\n]+)", line \d+, in (.+)$', re.MULTILINE)
_QUOTED = re.compile(r"""(?<!\w)b?(?P<quote>['"`])(?:\\.?|(?!(?P=quote))[^\\])*+(?P=quote)?""", re.DOTALL)
_GIVEN = re.compile(r"=\([^)]*+\)?|(?<=\w)=\S+")
"""What PostgreSQL says of a row, ``Key (name)=(Ada)``, and ``name=Ada``."""
_VALUE = re.compile(r"(?<!\S)[^\s@]*+@\S+|(?<![\w.:/+-])(?:[^\W\d]|[.:/+-])*+\d[\w.:/+-]*+|\b[a-f]{8,}+\b")
"""Addresses, and every word with a digit in it: numbers, moments, ids; hexadecimal where it happens to have none."""
_SEVERAL = re.compile(r"#(?:[\s,;]++#)+")
# Anybody may choose the words: no pattern looks at a character more than a few times. What is open at the end is
# a value that was cut off.
WORDS = 4096
"""So many characters of what is said are looked at."""


def fingerprint(method: str, error: str, traceback: str = "") -> str:
    """Twelve hexadecimal digits of what failed, of the error's class and words without values, and of the way there.

    Of a traceback it takes the files' names and the functions: neither lines, which every edit moves, nor folders,
    which differ between machines.
    """
    kind, _, words = error.partition(":")
    whole = orjson.dumps([method, kind.strip(), _without_values(words[:WORDS]), _way(traceback)])
    return hashlib.blake2b(whole, digest_size=6).hexdigest()


def _without_values(words: str) -> str:
    for pattern in (_QUOTED, _GIVEN, _VALUE):
        words = pattern.sub("#", words)
    return " ".join(_SEVERAL.sub("#", words).split())


def _way(traceback: str) -> list[tuple[str, str]]:
    frames = [(_tail(file), function) for file, function in _FRAME.findall(traceback)]
    return [frame for frame, _ in groupby(frames)]  # how deep it recursed is a value, too


def _tail(file: str) -> str:
    parts = file.replace("\\", "/").split("/")
    return "/".join(parts[-2:] if parts[-1] == "__init__.py" else parts[-1:])
