"""A dead letter as a test for pytest: it fails for as long as the call meets the bug."""

from __future__ import annotations

import pprint
from collections.abc import Sequence
from string import Template
from typing import Any

from worker.desk.records import Letter

_TEMPLATE = Template(r'''"""Dead letter $number of $method, as a test. It fails for as long as the call meets the bug:

$error
"""

import asyncio
from typing import Any

from rpc_client.errors import InternalError, RemoteError
from worker.registry import find_families
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker, scratch_database

FAMILIES = $families
ARGUMENTS: dict[str, Any] = $arguments$secrets


async def prepare(worker: LocalWorker) -> None:
    """Fill in: what the call needs to find in the database, which is empty.

    As calls: ``await worker.client.call_by_name("family.method", "write", {…})``; or as SQL:
    ``async with worker.database.connection(5) as connection: await connection.execute("insert into …")``.
    """


async def replay() -> object:
    server = WorkerSettings().postgres_url.get_secret_value()  # the call meets a database of its own there
    async with scratch_database(server) as url, local_worker(url, find_families(FAMILIES)) as worker:
        await prepare(worker)
        try:
            return await worker.client.call_by_name("$method", "$lane", ARGUMENTS)
        except InternalError:
            raise AssertionError("\n".join(letter.traceback for letter in worker.dead_letters)) from None
        except RemoteError as error:
            return error  # an answer, too: say below which one is right


def test_dead_letter_$number() -> None:
    answer = asyncio.run(replay())

    assert not isinstance(answer, InternalError)
''')
_SECRETS = "\n# Fill in: every *** above is a secret, which a dead letter does not tell."


def written(letter: Letter, lane: str, arguments: dict[str, Any], families: Sequence[str]) -> str:
    """The module's text. Arguments are as they are shown: with ``***`` in the place of secrets."""
    shown = pprint.pformat(arguments, width=110, sort_dicts=False)
    return _TEMPLATE.substitute(
        number=letter.number,
        method=letter.method,
        lane=lane,
        error=_quoted(letter.error),
        families=pprint.pformat(list(families), width=100),
        arguments=shown,
        secrets=_SECRETS if "***" in shown else "",
    )


def _quoted(text: str) -> str:
    """Text that may stand in a docstring."""
    return "\n".join("    " + line for line in text.replace("\\", "\\\\").replace('"', r"\"").splitlines())
