"""How the processes of a run may end, and how they do not."""

from __future__ import annotations

import asyncio
import signal
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import cast

import pytest

from tests.chaos.crew import CUT_SHORT, EX_TEMPFAIL, Place
from tests.chaos.folder import Folder, Journal

MEANT = [
    ("worker-0", {SIGTERM}, 0, True),
    ("worker-0", {SIGTERM, SIGCONT}, CUT_SHORT, True),
    ("worker-0", {SIGTERM, SIGKILL}, CUT_SHORT, True),
    ("worker-0", set(), CUT_SHORT, False),
    ("worker-0", set(), 0, False),
    ("worker-0", set(), -SIGKILL, True),
    ("worker-0", set(), EX_TEMPFAIL, True),
    ("client-0", {SIGTERM, SIGKILL}, 0, True),
    ("client-0", {SIGTERM}, CUT_SHORT, False),
    ("client-0", {SIGTERM}, -SIGKILL, False),
    ("client-0", set(), EX_TEMPFAIL, False),
]


class Process:
    """Runs, and takes whatever signal."""

    pid, returncode = 1, None

    def send_signal(self, number: signal.Signals) -> None:
        pass


@pytest.mark.parametrize(("name", "sent", "code", "meant"), MEANT)
def test_an_end_is_meant_by_whatever_was_ever_sent(tmp_path, name, sent, code, meant):
    folder = Folder(tmp_path)
    folder.make()
    place = Place(name, [], {}, folder, Journal(folder.crew), 7)
    place._process = cast("asyncio.subprocess.Process", Process())
    for number in sent:
        place.signal(number)

    assert place._meant(code) is meant


@pytest.mark.parametrize(("number", "leaves"), [(SIGTERM, True), (SIGCONT, False)])
def test_who_was_asked_to_end_is_known_to_leave(tmp_path, number, leaves):
    folder = Folder(tmp_path)
    folder.make()
    place = Place("worker-0", [], {}, folder, Journal(folder.crew), 7)
    place._process = cast("asyncio.subprocess.Process", Process())

    place.signal(number)

    assert place.leaves is leaves


def test_a_client_works_once_this_life_of_it_says_so(tmp_path):
    folder = Folder(tmp_path)
    folder.make()
    place = Place("client-0", [], {}, folder, Journal(folder.crew), 7)
    place._process = cast("asyncio.subprocess.Process", Process())
    assert not place.works

    Journal(folder.history / "client-0.jsonl").write(what="started")

    assert place.works
