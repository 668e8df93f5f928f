"""How many places slow methods may hold, by how long their calls held one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.places import BRIEF_S, FullError, Places

SIZE = 4


async def called(places: Places, held_s: float) -> None:
    """A call of a slow method that held its place for so long."""
    place = await places.take(1, "nap")
    places.give_back(replace(place, since=place.since - held_s))


async def proved_quick() -> Places:
    places = Places(SIZE)
    for _ in range(100):
        await called(places, -60)  # so that a pause of this program does not count
    return places


async def most(places: Places) -> int:
    """How many calls of the slow method may hold a place at once."""
    held = []
    try:
        while True:
            held.append(await places.take(0, "nap"))
    except FullError:
        return len(held)


async def test_a_slow_method_that_nobody_has_seen_may_take_half():
    assert await most(Places(SIZE)) == SIZE // 2


async def test_slow_methods_that_prove_to_be_quick_use_all_places():
    assert await most(await proved_quick()) == SIZE


async def test_one_long_call_takes_that_back():
    places = await proved_quick()

    await called(places, 2 * BRIEF_S)
    again = await places.take(0, "nap")

    assert again.kept_back


async def test_half_are_left_to_others_while_slow_methods_wait():
    places = Places(SIZE)
    for _ in range(SIZE // 2):
        await places.take(0, "nap")
    with pytest.raises(FullError, match="that slow methods may take"):
        await places.take(0, "nap")

    for _ in range(SIZE // 2):
        await places.take(0, None)
    with pytest.raises(FullError, match="all 4"):
        await places.take(0, None)
