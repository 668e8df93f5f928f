"""The code blocks of a Markdown page, and what the comment right above a block says of it.

``<!-- not run: why -->``            nobody runs it; such blocks are counted
``<!-- excerpt: path -->``           its lines stand in that file in this order; ``…`` is what is left out
``<!-- file: path -->``              it is a new file of the reader's
``<!-- append: path -->``            it goes to the end of a file of the reader's
``<!-- insert: path before: text -->``  it goes before the first line that begins so, with the blank lines usual there
``<!-- replace: path from: text -->``   it takes the place of the line that begins so, and of those up to a blank one
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- (?P<kind>not run|excerpt|file|append|insert|replace): (?P<what>[^\n]+?) -->\n+)?"
    r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"\s\s#.*$")
LEFT_OUT = {"…", "..."}


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    kind: str
    """What the comment above begins with; empty where there is none."""
    what: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One line after a ``$``, and the lines it is shown to answer."""

    words: str
    shown: list[str]


def read_blocks(page: Path) -> list[Block]:
    """Every block of a page, in order. An error when a fence is left over: nothing may slip through."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, text.count("\n", 0, m.start("text")), m["language"], m["text"], m["kind"] or "", m["what"] or "")
        for m in _BLOCK.finditer(text)
    ]
    fences = len(re.findall(r"^\s*```", text, re.MULTILINE))
    assert fences == 2 * len(found), f"{page}: {fences} fences, {len(found)} blocks: indented, or one is not closed"
    return found


def read_commands(block: Block) -> list[Command]:
    """The commands of a console block; what follows `  #` is for the reader."""
    commands: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append(Command(_COMMENT.sub("", line[2:]).strip(), []))
        elif line.strip():
            commands[-1].shown.append(line.strip())
    return commands


def missing_line(block: Block, text: str) -> str | None:
    """The first line of an excerpt that the file does not hold after those before it."""
    lines = iter([_plain(line) for line in text.splitlines()])
    wanted = [_plain(line) for line in block.text.splitlines() if line.strip() not in LEFT_OUT]
    return next((line for line in wanted if line and line not in lines), None)


def _plain(line: str) -> str:
    """A line without a comment at its end, and without the `...` that stands for a body."""
    return _COMMENT.sub("", line).rstrip().removesuffix(" ...")


def missing_output(command: Command, output: str) -> str | None:
    """The first line shown that a command did not print after those before it; `…` stands for anything."""
    lines = iter(output.splitlines())
    for line in filter(lambda line: line not in LEFT_OUT, command.shown):
        pattern = ".*".join(map(re.escape, line.split("…")))
        if not any(re.search(pattern, printed) for printed in lines):
            return line
    return None
