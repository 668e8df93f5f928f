"""``KeyRing``: seals what must not be read where it lies, and opens it again.

A sealed text is bound to its place: what was sealed for one row does not open for another. The newest key seals, every
key opens, so keys are changed by putting a new one in front. Without keys things are kept in the clear, and say so.
"""

from __future__ import annotations

from collections.abc import Sequence

CLEAR = b"clear:"
"""Begins what was kept without a key; a token of Fernet cannot begin so."""


class UnreadableError(Exception):
    """No key of the ring opens it, or it was sealed for another place. Nothing is ever read as empty instead."""


class KeyRing:
    """The keys of one installation, the newest first."""

    def __init__(self, keys: Sequence[str]) -> None:
        # Imported here: a process without keys needs no cryptography in its memory.
        from cryptography.fernet import Fernet, MultiFernet

        self._ring = MultiFernet([Fernet(key) for key in keys]) if keys else None

    @property
    def seals(self) -> bool:
        """Whether there is a key to seal with."""
        return self._ring is not None

    def seal(self, data: bytes, *, place: str) -> bytes:
        """What may lie at this place. The place is part of what is sealed."""
        whole = _bound(data, place)
        return CLEAR + whole if self._ring is None else self._ring.encrypt(whole)

    def unseal(self, sealed: bytes, *, place: str) -> bytes:
        """What was sealed. UnreadableError when it cannot be had."""
        from cryptography.fernet import InvalidToken

        if sealed.startswith(CLEAR):
            return _unbound(sealed[len(CLEAR) :], place)
        if self._ring is None:
            raise UnreadableError("it is sealed, and ROWCALL_ENCRYPTION_KEYS names no key")
        try:
            return _unbound(self._ring.decrypt(sealed), place)
        except InvalidToken:
            raise UnreadableError("none of the keys in ROWCALL_ENCRYPTION_KEYS opens it") from None


def new_key() -> str:
    """A fresh key, as ``ROWCALL_ENCRYPTION_KEYS`` takes it."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _bound(data: bytes, place: str) -> bytes:
    name = place.encode()
    return len(name).to_bytes(2) + name + data


def _unbound(whole: bytes, place: str) -> bytes:
    name = place.encode()
    if whole[: 2 + len(name)] != len(name).to_bytes(2) + name:
        raise UnreadableError("it was sealed for another place")
    return whole[2 + len(name) :]
