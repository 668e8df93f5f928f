"""``Tokens``: what somebody is given to bring back later, and nobody else could have made.

A link in an e-mail, for one: whoever holds it may do the one thing it is for, without an account. What a token says, no
other eye can read either. It is sealed with keys made of the key ring's for its purpose alone, so a token of another
purpose is none, nor is anything else that the ring has sealed; and while a key is in the ring, its tokens are good.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from worker.keys import KeyRing, no_key


class ForgedError(Exception):
    """It is no token of this purpose that any key of the ring has made. The text is not told: it may be a good one."""


class Tokens:
    """The tokens of one purpose. Unavailable where there is no key to make them with: unsealed, anybody could."""

    def __init__(self, keys: KeyRing, purpose: str) -> None:
        if not keys.seals:
            raise no_key(f"a token to {purpose}")
        from cryptography.fernet import Fernet, MultiFernet

        self._ring = MultiFernet([Fernet(key) for key in keys.derived(purpose)])

    def write(self, said: bytes) -> str:
        """A token that says this. It may stand in a link as it is."""
        return self._ring.encrypt(said).decode().rstrip("=")

    def read(self, token: str) -> bytes:
        """What it says. ForgedError when it is not, to the letter, one that was written here."""
        from cryptography.fernet import InvalidToken

        try:
            decoded = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            whole = urlsafe_b64encode(decoded).decode()
            # Decoding overlooks much, and what it overlooks could be changed unseen.
            if whole.rstrip("=") != token:
                raise ForgedError
            return self._ring.decrypt(whole)
        except (ValueError, InvalidToken):
            raise ForgedError from None
