"""How calls are put together into messages."""

from __future__ import annotations

from rpc_client.parcels import Pending, parcels


def calls(*sizes: int, alone: bool = False) -> list[Pending]:
    return [Pending(str(n), "a.b", "read", b"x" * size, 0.0, alone) for n, size in enumerate(sizes)]


async def sizes(pending: list[Pending]) -> list[int]:
    return [len(parcel) for parcel in parcels(pending)]


async def test_sixty_four_small_calls_fit_and_one_more_does_not():
    assert await sizes(calls(*[10] * 64)) == [64]
    assert await sizes(calls(*[10] * 130)) == [64, 64, 2]


async def test_a_message_grows_to_256_kilobytes_and_a_larger_call_travels_alone():
    assert await sizes(calls(*[100_000] * 5)) == [2, 2, 1]
    assert await sizes(calls(10, 900_000, 10)) == [1, 1, 1]


async def test_some_calls_travel_alone_whoever_goes_before_or_after_them():
    assert await sizes(calls(10, 10, 10, alone=True)) == [1, 1, 1]
    assert await sizes([*calls(10, 10), *calls(10, alone=True), *calls(10, 10)]) == [2, 1, 2]
