"""``Reader``: somebody who follows a page to the letter, in an empty folder and an environment of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from dotenv import dotenv_values

from tests.docs.blocks import Block, Command, missing_line, missing_output, read_commands
from worker import stream, topology
from worker.servers import Servers, drop_database
from worker.settings import WorkerSettings
from worker.statements import read_statements

ROOT = Path(__file__).parent.parent.parent
INTERPRETER = Path(__file__).parent / "interpreter.py"
COMMAND_S = 100
DEFAULT_BROKER = "amqp://guest:guest@127.0.0.1/"


@dataclass(frozen=True)
class Started:
    process: asyncio.subprocess.Process
    log: Path


class Reader:
    """Runs the blocks of one page one after the other; what was started is stopped when it closes."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self.folder = self.place = folder / "work"
        self.place.mkdir()
        self._servers = servers
        self._environment = _environment(make_environment(folder / "venv"))
        self._workers: list[Started] = []
        self._interpreter: Started | None = None
        self._states: set[Path] = set()

    async def follow(self, block: Block) -> None:
        """Do what a block says. AssertionError when it does not do what the page promises."""
        if block.kind == "not run":
            return
        if block.kind in {"file", "append", "insert", "replace"}:
            self._write(block)
        elif block.language == "console":
            for command in read_commands(block):
                await self.run(command)
        elif block.language == "python":
            await self._python(block)
        elif block.language == "sql":
            await self._sql(block)
        elif block.language == "json":
            json.loads(block.text)
        else:
            assert block.language == "text", (
                f"{block}: nobody knows how to run {block.language or 'a block of no kind'}"
            )

    # -- files ---------------------------------------------------------------------------------------------------------

    def _write(self, block: Block) -> None:
        name, _, mark = block.what.partition(" ")
        file = self.place / name
        if block.kind == "file":
            assert not file.exists(), f"{block}: {name} is there already"
            file.write_text(block.text, encoding="utf-8")
            return
        text = file.read_text(encoding="utf-8")
        if block.kind == "append":
            file.write_text(text.rstrip("\n") + _gap(block) + block.text, encoding="utf-8")
            return
        start = text.find("\n" + mark.partition(": ")[2]) + 1
        assert start > 0, f"{block}: {name} has no such line"
        if block.kind == "insert":
            head = text[:start].rstrip("\n")
            changed = head + _gap(block) + block.text.rstrip("\n") + text[len(head) :]
        else:
            changed = text[:start] + block.text + text[text.index("\n\n", start) + 1 :]
        file.write_text(changed, encoding="utf-8")

    # -- commands ------------------------------------------------------------------------------------------------------

    async def run(self, command: Command) -> None:
        """Run a command. It prints what is shown: on standard error, and only there, may it also fail."""
        if command.words.startswith("cd "):
            self.place = (self.place / command.words[3:]).resolve()
            return
        if command.words.startswith("rowcall worker"):
            await self._start_worker(command)
            return
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command.words,
            cwd=self.place,
            env=self._environment_of(command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = (text.decode() for text in await asyncio.wait_for(process.communicate(), COMMAND_S))
        told = f"$ {command.words}  -> {process.returncode}\n{output}{errors}"
        assert process.returncode == 0 or command.shown, told
        missing = missing_output(command, output if process.returncode == 0 else errors)
        assert missing is None, f"not printed: {missing}\n{told}"

    def _environment_of(self, command: Command) -> dict[str, str]:
        """Only `rowcall up` is told where the servers are; everything else reads what it wrote."""
        if command.words != "rowcall up":
            return self._environment
        self._states.add(self.place)
        servers = self._servers
        urls = (servers.amqp_url, servers.postgres_url, servers.redis_url)
        names = ("ROWCALL_AMQP_URL", "ROWCALL_POSTGRES_URL", "ROWCALL_REDIS_URL")
        return {**self._environment, **dict(zip(names, urls, strict=True))}

    async def _start_worker(self, command: Command) -> None:
        """Start a worker and leave it running; or see it refuse to start, where the page shows what it says."""
        log = self.folder / f"worker-{len(self._workers)}.log"
        with log.open("w") as output:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(command.words), cwd=self.place, env=self._environment, stderr=output
            )
        self._workers.append(Started(process, log))
        async with asyncio.timeout(COMMAND_S):
            while process.returncode is None and '"consuming"' not in log.read_text():
                await asyncio.sleep(0.02)
        told = f"$ {command.words}  -> {process.returncode}\n{log.read_text()}"
        assert process.returncode is None or command.shown, told
        assert missing_output(command, log.read_text()) is None, told

    # -- Python and SQL ------------------------------------------------------------------------------------------------

    async def _python(self, block: Block) -> None:
        if block.kind == "excerpt":
            _check_excerpt(block)
            await self.python(f"import runpy; globals().update(runpy.run_path({str(ROOT / block.what)!r}))", block)
        state = await asyncio.to_thread(dotenv_values, self.place / ".rowcall" / "env")
        text = block.text.replace('"rowcall.', f'"{state.get("ROWCALL_PREFIX")}.')
        await self.python(text.replace(DEFAULT_BROKER, self._servers.amqp_url), block)

    async def python(self, text: str, where: Block | str) -> None:
        """Run a text among the names that the page's blocks have made so far."""
        if self._interpreter is None:
            self._interpreter = await self._start_interpreter()
        process, log = self._interpreter.process, self._interpreter.log
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(text).encode() + b"\n")
        answer = await asyncio.wait_for(process.stdout.readline(), COMMAND_S)
        assert answer == b"null\n", f"{where}: {json.loads(answer) if answer else log.read_text()}"

    async def _start_interpreter(self) -> Started:
        log = self.folder / "python.log"
        with log.open("w") as output:
            process = await asyncio.create_subprocess_exec(
                "python",
                INTERPRETER,
                cwd=self.place,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
            )
        return Started(process, log)

    async def _sql(self, block: Block) -> None:
        """Prepare each of its statements on the page's database; of an excerpt, the whole ones in the file."""
        folder = self.folder / "sql"
        if block.kind == "excerpt":
            _check_excerpt(block)
            folder = (ROOT / block.what).parent
        else:
            folder.mkdir(exist_ok=True)
            (folder / "block.sql").write_text(block.text, encoding="utf-8")
        wanted = [line.removeprefix("-- name: ") for line in block.text.splitlines() if line.startswith("-- name: ")]
        assert wanted, f"{block}: no statement has a name"
        statements = read_statements("page", folder)
        connection = await asyncpg.connect(dotenv_values(self.place / ".rowcall" / "env")["ROWCALL_POSTGRES_URL"])
        try:
            for name in wanted:
                await connection.prepare(statements[f"page.{name}"].sql)
        finally:
            await connection.close()

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Stop what runs, and delete by name what `rowcall up` and the workers made."""
        if self._interpreter is not None and self._interpreter.process.stdin is not None:
            self._interpreter.process.stdin.close()
            await asyncio.wait_for(self._interpreter.process.wait(), COMMAND_S)
        for started in self._workers:
            with contextlib.suppress(ProcessLookupError):
                started.process.terminate()
            await asyncio.wait_for(started.process.wait(), COMMAND_S)
        for place in self._states:
            await self._forget(dotenv_values(place / ".rowcall" / "env"))

    async def _forget(self, state: dict[str, str | None]) -> None:
        prefix, url = state.get("ROWCALL_PREFIX"), state.get("ROWCALL_POSTGRES_URL")
        if prefix is None or url is None:
            return
        servers = self._servers
        await drop_database(servers.postgres_url, url.rsplit("/", 1)[1])
        settings = WorkerSettings(prefix=prefix, amqp_url=servers.amqp_url, redis_url=servers.redis_url)
        await topology.delete(settings)
        await stream.delete(settings)


def _gap(block: Block) -> str:
    """The blank lines before a block that is put into a file: two between what stands at the margin of a module."""
    return "\n\n\n" if block.language == "python" and not block.text.startswith(" ") else "\n\n"


def _check_excerpt(block: Block) -> None:
    missing = missing_line(block, (ROOT / block.what).read_text(encoding="utf-8"))
    assert missing is None, f"{block}: {block.what} does not hold {missing!r} there"


def make_environment(folder: Path) -> Path:
    """A virtual environment that sees what this one holds, so that installing into it reaches nobody else."""
    venv.create(folder, symlinks=True)
    ours = sysconfig.get_path("purelib")
    theirs = next(folder.glob("lib/python*/site-packages"))
    (theirs / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    command = folder / "bin" / "rowcall"
    command.write_text(f"#!{folder}/bin/python\nfrom worker.cli import app\napp()\n")
    command.chmod(0o755)
    return folder


def _environment(folder: Path) -> dict[str, str]:
    tools = Path(sys.executable).parent
    return {
        "PATH": os.pathsep.join([str(folder / "bin"), str(tools), os.environ["PATH"]]),
        "HOME": os.environ.get("HOME", "/"),
        "COLUMNS": "200",
        "NO_COLOR": "1",
        "PIP_NO_INDEX": "1",  # what a page installs beside its own package is there already
        "PIP_NO_BUILD_ISOLATION": "0",
    }
