"""Dead letters are found, understood and judged at the desk, without touching what they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from accounts import AsyncAccounts
from tests.conftest import FAMILIES
from tests.services.desk_given import deposit, lay, letter
from worker.desk import WAITING, Desk, DeskError, Filter
from worker.keys import new_key
from worker.settings import WorkerSettings


@pytest.fixture
async def desk(settings: WorkerSettings) -> AsyncIterator[Desk]:
    async with Desk(settings, families=FAMILIES, actor="ops@here") as desk:
        yield desk


@pytest.fixture
async def six(settings: WorkerSettings) -> list[int]:
    """Six letters, no two of which are alike in all."""
    return await lay(
        settings,
        deposit(amount=1),
        deposit(amount=2, age=timedelta(hours=3)),
        deposit(amount=3, error="KeyError: 'rate_100%'"),
        letter("accounts.withdraw", {"account_id": "a-1", "amount": 1, "note": "Lunch"}, caller="ada"),
        letter("accounts.open_account", {"account_id": "b-1", "owner": "Bo"}, reason="exhausted", error="away"),
        letter("accounts.transfer", {"amount": 1}, reason="poison", error="killed its worker", traceback=""),
    )


FILTERS = [
    (Filter(), [0, 1, 2, 3, 4, 5]),
    (Filter(method="accounts.deposit"), [0, 1, 2]),
    (Filter(method="*.open?account"), [4]),
    (Filter(method="accounts_deposit"), []),
    (Filter(reason="internal"), [0, 1, 2, 3]),
    (Filter(error="RATE_100%"), [2]),
    (Filter(error="ZERO"), [0, 1, 3]),
    (Filter(states=["open"]), [0, 1, 2, 3, 4, 5]),
    (Filter(states=["resolved", "fenced"]), []),
    (Filter(caller="ada"), [3]),
    (Filter(older_than=timedelta(hours=1)), [1]),
    (Filter(newer_than=timedelta(hours=1)), [0, 2, 3, 4, 5]),
    (Filter(text="lunch"), [3]),
    (Filter(text="services.py"), [0, 1, 2, 3, 4]),
    (Filter(text='"amount":2'), [1]),
    (Filter(method="accounts.deposit", error="zero", newer_than=timedelta(hours=1)), [0]),
]


async def test_each_filter_finds_what_it_says_and_all_of_them_together(desk, six):
    found = [(wanted, [six.index(number) for number in await desk.find(wanted)]) for wanted, _ in FILTERS]

    assert found == FILTERS


async def test_letters_are_found_by_number_by_id_and_by_the_start_of_their_fingerprint(desk, six):
    (first, *_) = await desk.list(Filter(numbers=six[:1]))

    assert await desk.find(Filter(id=first.id)) == six[:1]
    assert await desk.find(Filter(fingerprint=first.fingerprint[:8])) == six[:2]


async def test_the_list_is_paged_newest_first(desk, six):
    first = await desk.list(Filter(), limit=4)
    second = await desk.list(Filter(), limit=4, before=first[-1].number)

    assert [found.number for found in [*first, *second]] == six[::-1]


async def test_letters_of_one_cause_are_one_group_the_largest_first(desk, six):
    groups = await desk.groups(Filter(states=WAITING))

    assert [group.count for group in groups] == [2, 1, 1, 1, 1]
    assert (groups[0].method, groups[0].sample) == ("accounts.deposit", six[1])
    assert groups[0].first_at < groups[0].last_at


async def test_show_tells_the_call_its_traceback_and_what_was_done(desk, six):
    await desk.discard(Filter(numbers=six[3:4]), why="paid by hand")

    shown = await desk.show(six[3])

    assert shown.call["args"] == {"account_id": "a-1", "amount": 1, "note": "Lunch"}
    assert "services.py" in shown.traceback
    assert shown.letter.state == "discarded"
    assert [(deed.actor, deed.action, deed.details) for deed in shown.deeds] == [
        ("ops@here", "discard", {"why": "paid by hand"})
    ]


async def test_a_number_that_is_nobody_s_is_said_to_be(desk):
    with pytest.raises(DeskError, match="there is no dead letter 17"):
        await desk.show(17)


async def test_a_letter_sealed_with_another_key_is_told_as_unreadable_and_not_as_empty(settings):
    sealed = settings.model_copy(update={"encryption_keys": SecretStr(new_key())})
    other = settings.model_copy(update={"encryption_keys": SecretStr(new_key())})
    (number,) = await lay(sealed, deposit())

    async with Desk(other, families=FAMILIES) as desk:
        shown = await desk.show(number)
        (step,) = (await desk.plan(Filter())).steps

    assert (shown.call, step.action) == (None, "unreadable")
    assert "none of the keys" in shown.hidden
    assert "none of the keys" in shown.traceback


async def test_the_plan_says_of_each_what_a_replay_would_do_and_why_not(settings, desk, local, sql):
    accounts = AsyncAccounts(local.client.with_options(request_id=(ran := uuid4())))
    await accounts.open_account("a-1", "me")
    (done, fenced, foreign, reused, garbled, gone, misfit, often, given_up, old, fresh) = await lay(
        settings,
        letter("accounts.open_account", {"account_id": "a-1", "owner": "me"}, caller=local.client.settings.caller),
        deposit(amount=1),
        deposit(amount=2, caller="ada", request_id=ran),
        deposit(amount=2, caller=local.client.settings.caller, request_id=ran),
        letter("?", {}, reason="malformed", body=b"{]"),
        letter("accounts.vanish", {}),
        letter("accounts.deposit", {"account_id": "a-1", "amount": "five"}),
        deposit(amount=3),
        deposit(amount=4),
        deposit(amount=5, request_id=UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")),
        deposit(amount=6),
    )
    await sql.execute("update rowcall.dead_letters set state = 'resolved', outcome = 'done' where number = $1", done)
    await sql.execute("update rowcall.dead_letters set state = 'fenced' where number = $1", fenced)
    await sql.execute("update rowcall.dead_letters set replays = 5 where number = $1", often)
    await desk.discard(Filter(numbers=[given_up]))

    steps = {step.number: step for step in (await desk.plan(Filter())).steps}

    assert {number: step.action for number, step in steps.items()} == {
        done: "done",
        fenced: "fenced",
        foreign: "taken",
        reused: "taken",
        garbled: "unreadable",
        gone: "unknown method",
        misfit: "misfit",
        often: "too often",
        given_up: "discarded",
        old: "send",
        fresh: "send",
    }
    why = {misfit: "argument 'amount'", gone: "no such method", often: "a loop is stopped", old: "under a new id"}
    assert [steps[number].why for number, words in why.items() if words not in steps[number].why] == []
    assert steps[fresh].why == ""


async def test_a_letter_whose_call_has_run_meanwhile_is_done_already(settings, desk, local):
    request_id = uuid4()
    (number,) = await lay(settings, deposit(caller=local.client.settings.caller, request_id=request_id))
    await AsyncAccounts(local.client).open_account("a-1", "me")
    await AsyncAccounts(local.client.with_options(request_id=request_id)).deposit("a-1", 5)

    (step,) = (await desk.plan(Filter(numbers=[number]))).steps

    assert (step.action, step.why) == ("done", "done")


async def test_a_database_that_knows_no_dead_letters_yet_is_told_so(settings, sql):
    await sql.execute("drop table rowcall.dead_letters")

    with pytest.raises(DeskError, match="rowcall migrate"):
        async with Desk(settings, families=FAMILIES):
            pass
