"""Log records for people: one calm line each, aligned, in colour on a terminal."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from pgqueue.telemetry.kinds import kind_of, plain, sentence_of, subject_of

WIDEST_SUBJECT = 40
LONGEST_TRACEBACK = 12
_MARGIN = " " * 18
_DIM, _BOLD, _RED, _GREEN, _YELLOW, _BLUE = "2", "1", "31", "32", "33", "34"
_COLOURS = {"done": _GREEN, "dead": f"{_BOLD};{_RED}", "worker": _BLUE, "info": _DIM, "debug": _DIM}
_LEVELS = {"warning": "warn", "critical": "error"}
_FRAME = re.compile(r'^ +File "([^"]*)"')
_OURS = str(Path(__file__).resolve().parent.parent)
_IMPORTER = os.path.join("importlib", "__init__.py")


def wants_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether a stream gets colours: not with NO_COLOR, always with FORCE_COLOR, else on a terminal that is not dumb.

    Source of the rule: no-color.org and force-color.org, in the order of Python's own tracebacks. Empty is as not set.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


class Console(logging.Formatter):
    """A formatter for people: local time, a word, the job, a sentence; a traceback's end where there is one.

    Args:
        colour: Whether the words are coloured.
    """

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour
        self._width = 0

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line, or a few."""
        event, facts = getattr(record, "event", None), getattr(record, "fields", None)
        facts = facts if isinstance(facts, Mapping) else {}
        word, subject, text = _of_event(event, facts) if event else _of_record(record, facts)
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        first, *more = text.splitlines() or [""]
        colour = _COLOURS.get(word, "" if record.levelno < logging.WARNING else _YELLOW)
        if record.levelno >= logging.ERROR:
            colour = _COLOURS["dead"]
        line = f"{self._in(_DIM, at)}  {self._in(colour, f'{word:<6}')}  {self._aligned(subject)}{first}".rstrip()
        return "\n".join([line, *(self._in(_DIM, f"{_MARGIN}{part}") for part in [*more, *self._trace(record, facts)])])

    def _aligned(self, subject: str) -> str:
        if not subject:
            return ""
        self._width = max(self._width, min(len(subject), WIDEST_SUBJECT))
        return f"{subject:<{self._width}}  "

    def _trace(self, record: logging.LogRecord, facts: Mapping[str, Any]) -> list[str]:
        if record.exc_info and record.exc_info[0] is not None:
            return shortened(self.formatException(record.exc_info))
        return shortened(str(facts.get("traceback") or ""))

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and colour else text


def shortened(trace: str) -> list[str]:
    """Return the lines of a traceback without the frames of this package and of the import; of the others the last."""
    kept: list[str] = []
    is_ours = False
    for line in map(_printable, trace.splitlines()):
        frame = _FRAME.match(line)
        if frame is not None:
            is_ours = frame[1].startswith((_OURS + os.sep, "<frozen ")) or frame[1].endswith(_IMPORTER)
        elif not line.startswith("    "):
            is_ours = False
        if not is_ours:
            kept.append(line)
    last = kept[-LONGEST_TRACEBACK:]
    while len(last) < len(kept) and last[0].startswith("    "):  # not in the middle of a frame
        del last[0]
    return last if len(last) == len(kept) else [f"… {len(kept) - len(last)} lines more", *last]


def _of_event(event: str, facts: Mapping[str, Any]) -> tuple[str, str, str]:
    return kind_of(event, facts).word, subject_of(event, facts), sentence_of(event, facts)


def _of_record(record: logging.LogRecord, facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return word, subject and text of a record that is no event; foreign loggers are named."""
    level = record.levelname.lower()
    name = "" if record.name == "root" or record.name.partition(".")[0] == "pgqueue" else f"{record.name}: "
    text = "\n".join(map(_printable, f"{name}{record.getMessage()}".splitlines()))
    return _LEVELS.get(level, level), subject_of(None, facts), text


def _printable(line: str) -> str:
    indent = len(line) - len(line.lstrip(" "))
    return " " * indent + plain(line[indent:].expandtabs(4))
