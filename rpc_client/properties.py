"""A message's properties and short strings, as AMQP 0-9-1 writes them."""

from __future__ import annotations

import struct
from typing import Any

from pamqp import decode

UNREADABLE = "unreadable"
"""Stands among the properties read for the last one that is not UTF-8, and names it."""
_HEADER = struct.Struct(">HHQH")

# Property name and the bit that says it is there, in the order of the wire. All of these are short strings, but for
# headers (a table), delivery mode and priority (an octet each) and timestamp (eight octets).
_PROPERTIES = (
    ("content_type", 15),
    ("content_encoding", 14),
    ("headers", 13),
    ("delivery_mode", 12),
    ("priority", 11),
    ("correlation_id", 10),
    ("reply_to", 9),
    ("expiration", 8),
    ("message_id", 7),
    ("timestamp", 6),
    ("type", 5),
    ("user_id", 4),
    ("app_id", 3),
)


def encode_properties(**given: str | int | None) -> bytes:
    """A message's properties as they travel: a word of flags, then those that are there."""
    flags, parts = 0, []
    for name, bit in _PROPERTIES:
        value = given.get(name)
        if value is None:
            continue
        flags |= 1 << bit
        parts.append(bytes((value,)) if isinstance(value, int) else short_string(value))
    return flags.to_bytes(2) + b"".join(parts)


def shortened(text: str) -> str:
    """As much of this text as a short string holds."""
    return text.encode()[:255].decode("utf-8", "ignore")


def short_string(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError(f"{text[:40]!r}… is longer than the 255 bytes AMQP allows")
    return bytes((len(encoded),)) + encoded


def read_short(buffer: bytes, place: int) -> tuple[str, int]:
    end = place + 1 + buffer[place]
    return buffer[place + 1 : end].decode("utf-8", "replace"), end


def decode_header(buffer: bytes, place: int) -> tuple[int, dict[str, str], bytes]:
    """A message's size, those of its properties that are text, and its headers as they travel."""
    _, _, size, flags = _HEADER.unpack_from(buffer, place)
    place += _HEADER.size
    properties: dict[str, str] = {}
    headers = b""
    for name, bit in _PROPERTIES:
        if not flags & (1 << bit):
            continue
        if name == "headers":
            end = place + 4 + int.from_bytes(buffer[place : place + 4])
            headers, place = buffer[place:end], end
        elif name in {"delivery_mode", "priority"}:
            place += 1
        elif name == "timestamp":
            place += 8
        else:
            end = place + 1 + buffer[place]
            try:
                properties[name] = buffer[place + 1 : end].decode()
            except UnicodeDecodeError:
                properties[UNREADABLE] = name
            place = end
    return size, properties, headers


def decode_headers(table: bytes) -> dict[str, Any]:
    """A message's headers. ValueError where they are none: their sender writes them, and the broker lets much pass."""
    try:
        return decode.field_table(table)[1] if table else {}
    except Exception as error:  # whatever the driver's reader stumbles over
        raise ValueError(f"headers that cannot be read: {error!r}") from error
