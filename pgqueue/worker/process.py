"""One child process, as its worker sees it: started, given jobs, listened to, killed, and how it died."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from pgqueue.model.errors import ChildDied
from pgqueue.tasks import Run
from pgqueue.worker.addresses import Address, Module
from pgqueue.worker.child_logs import levels, log_here
from pgqueue.worker.reports import Report
from pgqueue.worker.run import HeldRun, logger_of
from pgqueue.worker.wire import Message, error_message, garbled, job_message, pack, receive

PARTING_SECONDS = 2.0  # from hanging up to the kill
LINGER_SECONDS = 1.0  # for the last words of a child that is gone, while somebody else holds its line


class Answer(NamedTuple):
    """How a handler ended.

    Attributes:
        mishap: What the retry policy's own function raised, as JSON.
    """

    report: Report
    mishap: str | None


Ended: TypeAlias = Answer | ChildDied

# The application's path comes after the interpreter's own: a queue.py beside shop.py must not be the child's queue.
_PROGRAM = "import sys; sys.path.extend(sys.argv[3:]); from pgqueue.worker.child import main; main()"


class Process:
    """A child process.

    Args:
        lost: Called when it has died, with the error that says how.

    Attributes:
        jobs: How many it was given.
        megabytes: The memory that it held after its last job.
        worn: Whether a handler has left something behind in it that cannot be ended.
        leaving: Whether it is to end, by our will.
    """

    def __init__(
        self,
        started: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lost: Callable[[Process, ChildDied], None],
    ) -> None:
        self._started = started
        self._reader = reader
        self._writer = writer
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[int] = self._loop.create_future()
        self._ready: asyncio.Future[list[str] | ChildDied] = self._loop.create_future()
        self._ended: asyncio.Future[Ended] | None = None
        self._run: Run | None = None
        self._turn = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._garbled: ChildDied | None = None
        self._is_reaped = False
        self._levels = levels()
        self.jobs = 0
        self.megabytes = 0.0
        self.worn = self.leaving = False
        threading.Thread(target=self._watch, name="pgqueue child", daemon=True).start()
        self._listening = self._loop.create_task(self._listen(), name="pgqueue child")

    @classmethod
    async def start(cls, modules: Sequence[Module], lost: Callable[[Process, ChildDied], None]) -> Process:
        """Start a child; it begins to import.

        Args:
            modules: What it imports.

        Raises:
            OSError: The system cannot start one more.
            RuntimeError: It cannot start a thread that waits for its death.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                started = _spawn(theirs)
            except BaseException:
                writer.close()
                raise
        try:
            process = cls(started, reader, writer, lost)
        except BaseException:
            writer.close()
            _discard(started)
            raise
        process._send(
            {"kind": "hello", "modules": modules, "levels": process._levels, "path": _path(), "argv": sys.argv}
        )
        return process

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._started.pid

    @property
    def is_dead(self) -> bool:
        """Whether it has died."""
        return self._listening.done()

    async def ready(self) -> list[str]:
        """Wait until it has imported the application; return what could not be imported.

        Raises:
            ChildDied: It died over it.
        """
        answer = await asyncio.shield(self._ready)
        if isinstance(answer, ChildDied):
            raise answer
        return answer

    def hand(self, address: Address, run: Run) -> asyncio.Future[Ended]:
        """Give it a job; return what will be the end of it."""
        self._turn += 1
        self.jobs += 1
        self._run = run
        self._ended = self._loop.create_future()
        facts = {"resumed": run.resumed, "deadline": run.deadline.isoformat(), "levels": self._new_levels()}
        self._send(
            {"kind": "order", "turn": self._turn, "address": address, "job": job_message(run.job), **facts},
        )
        return self._ended

    def _new_levels(self) -> dict[str, int] | None:
        """Return the levels of the loggers, if they are others than the child has."""
        now = levels()
        changed = now != self._levels
        self._levels = now
        return now if changed else None

    def tell_to_end(self) -> None:
        """Tell its handler that it should end."""
        self._send({"kind": "end", "turn": self._turn})

    def kill(self) -> None:
        """Kill it, and what its handlers have started in its group."""
        if not self._is_reaped:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    async def part(self) -> None:
        """Let it end by itself, or else kill it."""
        self.leaving = True
        with suppress(OSError, RuntimeError):
            self._writer.write_eof()
        await asyncio.wait({self._listening}, timeout=PARTING_SECONDS)
        self.kill()
        await asyncio.wait({self._listening}, timeout=PARTING_SECONDS)

    def _send(self, message: Message) -> None:
        with suppress(OSError, RuntimeError):  # it is gone; whoever waits will be told
            self._writer.write(pack(message))

    async def _listen(self) -> None:
        """Take its messages until there are no more, then say how it died."""
        try:
            while (message := await receive(self._reader)) is not None:
                self._take(message)
        except ChildDied as error:
            self._garbled = error
        except Exception:  # noqa: BLE001 - a broken child may say anything
            self._garbled = garbled("wrote a message that means nothing to its worker")
        if not self.leaving:
            await self._see_it_gone()
        self._conclude(await self._gone)

    async def _see_it_gone(self) -> None:
        """Kill it, if it lives on and does not speak any more."""
        if self._garbled is None:
            await asyncio.wait({self._gone}, timeout=LINGER_SECONDS)
        if not self._gone.done():
            self._garbled = self._garbled or garbled("closed the line to its worker")
            self.kill()

    def _take(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "ready":
            self._ready.set_result(message["failures"])
        elif kind == "log":
            with suppress(Exception):  # a handler or filter of the application
                log_here(message["record"], {} if self._run is None else logger_of(self._run.job).extra or {})
        elif message["turn"] == self._turn and self._run is not None:
            self._take_of_run(kind, message, self._run)

    def _take_of_run(self, kind: str, message: Message, run: Run) -> None:
        if kind == "progress":
            run.progress(message["done"], message["note"])
        elif kind == "result" and isinstance(run, HeldRun):
            run.value = message["text"]
        elif kind == "completed" and isinstance(run, HeldRun):
            run.completed = True
        elif kind == "checkpoint":
            call = self._loop.create_task(self._checkpoint(run, message))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        elif kind == "ended":
            self.megabytes, self.worn = float(message["megabytes"]), bool(message["worn"])
            self._end(Answer(Report(*message["report"]), message["mishap"]))

    async def _checkpoint(self, run: Run, message: Message) -> None:
        error: Message | None = None
        try:
            await run.acheckpoint(message["value"])
        except Exception as raised:  # noqa: BLE001 - raised in the handler, where it belongs
            error = error_message(raised)
        self._send({"kind": "answer", "turn": message["turn"], "call": message["call"], "error": error})

    def _end(self, how: Ended) -> None:
        self._run = None
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(how)

    def _watch(self) -> None:
        """Wait for its death, in a thread; what is left of its group dies before its number can be another's."""
        with suppress(ChildProcessError):
            if hasattr(os, "waitid"):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:
                self._started.wait()
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._is_reaped = True
        code = self._started.wait()
        with suppress(RuntimeError):  # the event loop is gone
            self._loop.call_soon_threadsafe(self._on_exit, code)

    def _on_exit(self, code: int) -> None:
        self._gone.set_result(code)
        self._loop.call_later(LINGER_SECONDS, self._reader.feed_eof)

    def _conclude(self, code: int) -> None:
        error = self._garbled or death(code)
        self._writer.close()
        if not self._ready.done():
            self._ready.set_result(error)
        self._end(error)
        self._lost(self, error)


def death(code: int) -> ChildDied:
    """Return the error that says how a child died.

    Args:
        code: Its exit code; negative: the signal that killed it.
    """
    if code >= 0:
        return ChildDied(
            f"The child process ended with exit code {code}.",
            "Let the handler raise an exception instead of exiting, and close no descriptor that it did not open.",
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    remedy = (
        "If the system was out of memory, run fewer children or smaller jobs."
        if -code == signal.SIGKILL
        else "Look at the native code that the handler calls."
    )
    return ChildDied(f"The child process was killed by {name}.", remedy)


def _spawn(line: socket.socket) -> subprocess.Popen[bytes]:
    """Start the program of a child in a session of its own, out of reach of the terminal's Ctrl-C."""
    flags = ["-P", *(f"-W{option}" for option in sys.warnoptions), *["-O"] * sys.flags.optimize]
    arguments = [sys.executable, *flags, "-c", _PROGRAM, str(line.fileno()), str(os.getpid()), *_path()]
    return subprocess.Popen(arguments, pass_fds=[line.fileno()], stdin=subprocess.DEVNULL, start_new_session=True)


def _discard(started: subprocess.Popen[bytes]) -> None:
    """Kill a child that nobody watches, and reap it."""
    with suppress(OSError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def _path() -> list[str]:
    return [folder for folder in sys.path if isinstance(folder, str)]
