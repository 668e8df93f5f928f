"""A call that goes on under another id: whoever asks for the first is told of the other, and fences the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import orjson
import pytest

from tests.conftest import FAMILIES
from tests.services.asking import state
from tests.services.desk_given import deposit, lay
from tests.services.test_exactly_once import answer, balance
from tests.services.test_replayed import account, replay  # noqa: F401 - a fixture
from worker.desk import Desk, DeskError, Filter
from worker.desk.planning import fence_of
from worker.settings import WorkerSettings

pytestmark = pytest.mark.usefixtures("account")


@pytest.fixture
async def desk(settings: WorkerSettings) -> AsyncIterator[Desk]:
    async with Desk(settings, families=FAMILIES, actor="ops@here") as desk:
        yield desk


async def changed_line(desk: Desk, number: int, amount: int) -> bytes:
    """What a replay sends of this letter, once it has another amount."""
    changed = await desk.change(number, {"amount": amount})
    return orjson.dumps((await desk.show(changed.number)).call)


async def test_the_outcome_of_a_changed_letter_is_that_of_its_change(desk, settings, pipeline, sql):
    kept = deposit(amount=500)
    (number,) = await lay(settings, kept)
    line = await changed_line(desk, number, 5)

    waiting = await state(pipeline, kept.id, caller="guest")
    await answer(pipeline, line, replay("guest"))
    ran = [await state(pipeline, kept.id, fence=fence, caller="guest") for fence in (False, True)]

    assert (waiting, ran) == ("dead_lettered", ["done", "done"])
    assert await balance(sql, "a-1") == 5


async def test_a_fence_of_a_changed_letter_forbids_its_change(desk, settings, pipeline, sql):
    kept = deposit(amount=500)
    (number,) = await lay(settings, kept)
    line = await changed_line(desk, number, 5)

    fenced = await state(pipeline, kept.id, fence=True, caller="guest")
    late = orjson.loads(await answer(pipeline, line, replay("guest")))

    assert (fenced, late["details"]) == ("fenced", {"reason": "fenced"})
    assert [found.state for found in await desk.list(Filter())] == ["fenced", "replaced"]
    assert await balance(sql, "a-1") == 0


async def test_a_change_of_a_change_is_followed_to_its_end(desk, settings, pipeline):
    kept = deposit(amount=500)
    (number,) = await lay(settings, kept)
    again = await desk.change(number, {"amount": 5})
    await answer(pipeline, await changed_line(desk, again.number, 6), replay("guest"))

    assert await state(pipeline, kept.id, fence=True, caller="guest") == "done"


async def test_only_its_caller_is_told_of_it_under_any_id(desk, settings, pipeline):
    kept = deposit(amount=500)
    (number,) = await lay(settings, kept)
    await desk.change(number, {"amount": 5})

    assert await state(pipeline, kept.id, fence=True, caller="ada") == "AuthorizationError"


async def test_a_late_run_of_a_changed_letter_is_told_the_other_id_whoever_sends_it(desk, settings, pipeline, sql):
    kept = deposit(amount=500)
    (number,) = await lay(settings, kept)
    changed = await desk.change(number, {"amount": 5})

    late = [orjson.loads(await answer(pipeline, kept.body, replay(caller))) for caller in ("guest", "ada")]

    assert [reply["details"] for reply in late] == [{"reason": "replaced", "by": str(changed.id)}] * 2
    assert await balance(sql, "a-1") == 0


async def test_a_letter_that_runs_under_a_fresh_id_is_told_of_and_fenced_under_its_own(desk, settings, pipeline):
    kept, fresh_id = deposit(request_id=uuid4()), uuid4()
    (number,) = await lay(settings, kept)
    shelf = desk._shelf
    found = await shelf.read_one(number)
    fence = fence_of(found, fresh_id, settings.retention_days)
    await shelf.claim(found, fresh_id=fresh_id, fence=fence, max_replays=5)

    on_its_way = await state(pipeline, kept.id, caller="guest")
    decided = await state(pipeline, kept.id, fence=True, caller="guest")
    late = orjson.loads(await answer(pipeline, kept.body, replay("guest", request_id=fresh_id)))

    assert (on_its_way, decided, late["details"]) == ("dead_lettered", "fenced", {"reason": "fenced"})
    assert [found.state for found in await desk.list(Filter())] == ["fenced"]


async def test_what_is_fenced_already_is_not_changed(desk, settings, pipeline, sql):
    kept = deposit(caller="ada")
    await state(pipeline, kept.id, fence=True, caller="somebody else")
    (number,) = await lay(settings, kept)
    await sql.execute("update rowcall.dead_letters set state = 'open'")

    with pytest.raises(DeskError, match="is fenced"):
        await desk.change(number, {"amount": 5})


async def test_what_a_replay_came_to_is_told_by_where_the_letter_stands(desk, settings):
    (number,) = await lay(settings, deposit())
    await desk.discard(Filter(numbers=[number]))

    assert await desk._shelf.settle(number, state="open", outcome="InternalError") == "discarded"
