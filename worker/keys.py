"""``KeyRing``: seals what must not be read where it lies, and opens it again.

A sealed text is bound to its place: what was sealed for one row does not open for another. The newest key seals, every
key opens, so keys are changed by putting a new one in front. Without keys dead letters are kept in the clear, and say
so; what families keep sealed (``StrictKeyRing``) is not kept at all then.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rpc_client.errors import Reason, Unavailable

if TYPE_CHECKING:
    from worker.settings import WorkerSettings

CLEAR = b"clear:"
"""Begins what was kept without a key; a token of Fernet cannot begin so."""
QUEUE = "queue"
"""The place of a dead letter that waits in RabbitMQ."""


class KeysError(Exception):
    """The keys cannot be used; the worker does not start."""


class UnreadableError(Exception):
    """No key of the ring opens it, or it was sealed for another place. Nothing is ever read as empty instead."""


class KeyRing:
    """The keys of one installation, the newest first."""

    def __init__(self, keys: Sequence[str]) -> None:
        # Imported here: a process without keys needs no cryptography in its memory.
        from cryptography.fernet import Fernet, MultiFernet

        self._keys = tuple(keys)
        self._ring = MultiFernet([Fernet(key) for key in keys]) if keys else None
        self._newest = Fernet(keys[0]) if keys else None

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
        if sealed.startswith(CLEAR):
            return _unbound(sealed[len(CLEAR) :], place)
        if self._ring is None:
            raise UnreadableError("it is sealed, and ROWCALL_ENCRYPTION_KEYS names no key")
        from cryptography.fernet import InvalidToken

        try:
            return _unbound(self._ring.decrypt(sealed), place)
        except InvalidToken:
            raise UnreadableError("none of the keys in ROWCALL_ENCRYPTION_KEYS opens it") from None

    def renewed(self, sealed: bytes, *, place: str) -> bytes:
        """The same, sealed with the newest key; as it is, where it is that already. UnreadableError as ``unseal``."""
        data = self.unseal(sealed, place=place)
        return sealed if self._is_newest(sealed) else self.seal(data, place=place)

    def derived(self, purpose: str) -> tuple[str, ...]:
        """A key for this purpose made of each of these, the newest first. No other purpose's is alike."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = f"rowcall {purpose}".encode()
        made = [HKDF(SHA256(), 32, salt=None, info=info).derive(urlsafe_b64decode(key)) for key in self._keys]
        return tuple(urlsafe_b64encode(key).decode() for key in made)

    def _is_newest(self, sealed: bytes) -> bool:
        from cryptography.fernet import InvalidToken

        try:
            return self._newest is None or bool(self._newest.decrypt(sealed))
        except InvalidToken:
            return False


class StrictKeyRing(KeyRing):
    """The ring that stories get, as ``keys``, for what is never kept in the clear, nor believed of what lies so.

    Unavailable where there is no key: then the call does not run.
    """

    def seal(self, data: bytes, *, place: str) -> bytes:
        if not self.seals:
            raise no_key("this call")
        return super().seal(data, place=place)

    def unseal(self, sealed: bytes, *, place: str) -> bytes:
        if not self.seals:
            raise no_key("this call")
        if sealed.startswith(CLEAR):
            raise UnreadableError("it is not sealed")
        return super().unseal(sealed, place=place)


def no_key(what: str) -> Unavailable:
    """The answer to what needs a key where there is none."""
    return Unavailable(
        f"{what} needs a key, and this worker has none: set ROWCALL_ENCRYPTION_KEYS; `rowcall keys new` makes one",
        {"reason": Reason.NO_KEY},
    )


def key_ring(settings: WorkerSettings) -> KeyRing:
    """The keys of ``ROWCALL_ENCRYPTION_KEYS`` as a ring. KeysError as ``keys_of``."""
    return KeyRing(keys_of(settings))


def keys_of(settings: WorkerSettings) -> list[str]:
    """The keys of ``ROWCALL_ENCRYPTION_KEYS``. KeysError, which says which is none, but never what it is."""
    keys = [key.strip() for key in settings.encryption_keys.get_secret_value().split(",") if key.strip()]
    for n, key in enumerate(keys, 1):
        try:
            KeyRing([key])
        except ValueError:
            raise KeysError(
                f"ROWCALL_ENCRYPTION_KEYS: place {n} of {len(keys)} holds no key; `rowcall keys new` makes one"
            ) from None
    return keys


def new_key() -> str:
    """A fresh key, as ``ROWCALL_ENCRYPTION_KEYS`` takes it."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def row_place(name: str, key: str) -> str:
    """The place of a family's sealed row: of what ``Family(sealed=…)`` names, under its key."""
    return f"{name}/{key}"


def _bound(data: bytes, place: str) -> bytes:
    name = place.encode()
    return len(name).to_bytes(2) + name + data


def _unbound(whole: bytes, place: str) -> bytes:
    name = place.encode()
    if whole[: 2 + len(name)] != len(name).to_bytes(2) + name:
        raise UnreadableError("it was sealed for another place")
    return whole[2 + len(name) :]
