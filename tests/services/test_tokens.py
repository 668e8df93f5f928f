"""Tokens: nobody else can make one, and what is changed in one makes it none."""

from __future__ import annotations

import pytest

from rpc_client.errors import Unavailable
from worker.keys import KeyRing, new_key
from worker.tokens import ForgedError, Tokens

OLD, NEW = new_key(), new_key()


def test_a_token_says_what_was_written_and_stands_in_a_link_as_it_is():
    tokens = Tokens(KeyRing([OLD]), "greet")

    written = tokens.write(b"user-1")

    assert tokens.read(written) == b"user-1"
    assert set(written) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_a_token_does_not_show_what_it_says():
    assert Tokens(KeyRing([OLD]), "greet").write(b"user-1") != Tokens(KeyRing([OLD]), "greet").write(b"user-1")


@pytest.mark.parametrize(
    ("keys", "purpose"), [([NEW], "greet"), ([OLD], "part")], ids=["another installation", "another purpose"]
)
def test_a_token_of_other_keys_or_another_purpose_is_none(keys, purpose):
    written = Tokens(KeyRing(keys), purpose).write(b"user-1")

    with pytest.raises(ForgedError):
        Tokens(KeyRing([OLD]), "greet").read(written)


def test_no_place_of_a_token_can_be_changed():
    tokens = Tokens(KeyRing([OLD]), "greet")
    written = tokens.write(b"user-1")
    changed = [written[:n] + ("A" if sign != "A" else "B") + written[n + 1 :] for n, sign in enumerate(written)]

    assert [token for token in changed if _is_good(tokens, token)] == []


@pytest.mark.parametrize("more", ["=", "==", "!", "\n", " ", "\x00", "ä", "A"])
def test_nothing_can_be_added_to_a_token(more):
    tokens = Tokens(KeyRing([OLD]), "greet")
    written = tokens.write(b"user-1")

    assert [token for token in (written + more, more + written) if _is_good(tokens, token)] == []


def test_what_the_ring_has_sealed_or_left_in_the_clear_is_no_token():
    ring = KeyRing([OLD])
    sealed = [ring.seal(b"user-1", place="greet"), KeyRing([]).seal(b"user-1", place="greet"), b""]

    assert [text for text in sealed if _is_good(Tokens(ring, "greet"), text.decode().rstrip("="))] == []


def test_the_newest_key_writes_and_every_key_reads():
    old, both, new = [Tokens(KeyRing(keys), "greet") for keys in ([OLD], [NEW, OLD], [NEW])]

    assert both.read(old.write(b"user-1")) == new.read(both.write(b"user-1")) == b"user-1"
    assert not _is_good(old, both.write(b"user-1"))


def test_without_a_key_there_are_no_tokens():
    with pytest.raises(Unavailable, match=r"a token to greet needs a key, .* set ROWCALL_ENCRYPTION_KEYS"):
        Tokens(KeyRing([]), "greet")


def _is_good(tokens: Tokens, token: str) -> bool:
    try:
        tokens.read(token)
    except ForgedError:
        return False
    return True
