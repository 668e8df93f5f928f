"""Every code block of every page is run, in order, as a reader would."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs.blocks import Command, read_blocks
from tests.docs.reader import ROOT, Reader
from worker.servers import Servers

PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")], key=lambda page: page.as_posix()
)
FROM_NOTHING = {"docs/your-own-family.md"}
"""Whose reader starts everything; readers of other pages have a worker that serves what is installed."""
NOT_RUN = {"README.md": 1, "docs/deployment.md": 4, "docs/platform.md": 2}
"""How many blocks of a page nobody runs. (In README: `make demo` and `make test`, which are how this test is run.)"""
HEAVY = {"docs/dead-letters.md", "docs/testing.md", "docs/your-own-family.md"}
"""Whose commands take most of a minute: other tests give the like of them, to a worker that runs already."""
AFTERWARDS = {
    "README.md": """
        async with replies.iterator(no_ack=True, timeout=5) as incoming:
            reply = await anext(incoming)
        assert json.loads(reply.body)["result"] == 1500
        assert reply.correlation_id == "42"
        await connection.close()
        assert balance == 500
    """,
}
"""What holds when all blocks of a page have run."""

LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


@pytest.fixture
async def reader(tmp_path: Path, servers: Servers) -> AsyncIterator[Reader]:
    reader = Reader(tmp_path, servers)
    try:
        yield reader
    finally:
        await reader.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(name, marks=pytest.mark.heavy if name in HEAVY else ())
        for page in PAGES
        if read_blocks(page)
        for name in [str(page.relative_to(ROOT))]
    ],
)
async def test_every_block_of_a_page_does_what_it_shows(page: str, reader: Reader):
    blocks = read_blocks(ROOT / page)
    if page not in FROM_NOTHING and any(block.language in {"console", "python", "sql"} for block in blocks):
        for command in ("rowcall up", "rowcall worker"):
            await reader.run(Command(command, []))

    for block in blocks:
        await reader.follow(block)

    if page in AFTERWARDS:
        await reader.python(dedent(AFTERWARDS[page]), f"after {page}")


def test_blocks_that_nobody_runs_are_counted_and_say_why():
    found = {str(page.relative_to(ROOT)): sum(b.kind == "not run" for b in read_blocks(page)) for page in PAGES}

    assert {page: count for page, count in found.items() if count} == NOT_RUN


def anchors(page: Path) -> set[str]:
    """What a link into a page may end in: its headings as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path):
    links = [((page.parent / path if path else page), anchor) for path, anchor in LINK.findall(page.read_text("utf-8"))]

    assert [str(target) for target, _ in links if not target.exists()] == []
    assert [anchor for target, anchor in links if anchor and anchor not in anchors(target)] == []
