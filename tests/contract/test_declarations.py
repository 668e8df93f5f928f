"""Declarations that say something impossible are refused where they are written."""

from __future__ import annotations

import pytest

from rpc_client.contract import EventData, read, write


def test_a_lock_on_what_is_no_parameter_is_refused():
    async def lend(self: object, isbn: str) -> None: ...

    with pytest.raises(TypeError, match=r"lend: locks='ibsn' is not one of its parameters \['isbn'\]"):
        write(locks="ibsn")(lend)


def test_an_event_that_happens_to_nothing_is_refused():
    class Lost(EventData):
        """It does not say to what."""

    async def lose(self: object) -> None: ...

    with pytest.raises(TypeError, match=r"lose: the event Lost does not say to what it happens: aggregate="):
        write(emits=[Lost])(lose)


@pytest.mark.parametrize("aggregate", ["", "a book", "book/page", "*"])
def test_an_aggregate_that_cannot_name_a_channel_is_refused(aggregate: str):
    with pytest.raises(TypeError, match="must be one word"):
        type("Lost", (EventData,), {}, aggregate=aggregate)


def test_a_parameter_that_begins_with_an_underscore_is_refused():
    async def get_book(self: object, _isbn: str) -> None: ...

    with pytest.raises(TypeError, match="get_book: parameter '_isbn' may not begin with an underscore"):
        read(get_book)
