"""What the command line shows of dead letters, whatever a stranger has written into them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from worker.cli.console import out
from worker.cli.letters import group_table, letter_table, show_plan
from worker.desk import Group, Letter, Report, Step

NOW = datetime.now(UTC)
NAME = "[/x]"
LETTER = Letter(1, uuid4(), "ada", NAME, "malformed", "", "", 1, NOW, NOW, "", "open", None, 0, None, None, None)
GROUP = Group("0", 1, NOW, NOW, NAME, "malformed", "", 1)


def test_a_method_s_name_that_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]):
    out.print(letter_table([LETTER]))
    out.print(group_table([GROUP]))
    show_plan(Report([Step(1, LETTER.id, NAME, "unknown method", "")]))

    assert capsys.readouterr().out.count(NAME) == 3
