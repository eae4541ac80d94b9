"""A process that speaks to its parent as a worker does and does nothing else, so that it starts in no time.

``python -IS fake_worker.py BEHAVIOUR LOG``. It imports nothing of ours: what goes over the tether stands here by hand.
"""

import os
import signal
import socket
import sys
import time

BEHAVIOUR, LOG = sys.argv[1:]
NOTICES, WORDS = map(int, os.environ["PGQUEUE_TETHER"].split(","))


def note(line: str) -> None:
    with open(LOG, "a") as log:
        log.write(f"{os.getpid()} {line}\n")


def earlier() -> int:
    with open(LOG) as log:
        return sum(line.endswith(" started\n") for line in log)


def say(text: str) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, fileno=os.dup(NOTICES)).send(text.encode())


def obey(code: int) -> None:
    with open(WORDS) as words:
        for line in words:
            note(line.strip())
            if line in ("stop\n", "hurry\n"):
                sys.exit(code)
    note("parent gone")


note("started")
if BEHAVIOUR.startswith("exit "):
    sys.exit(int(BEHAVIOUR.removeprefix("exit ")))
if BEHAVIOUR == "second fails" and earlier() == 2:
    sys.exit(2)
say('READY=1\nSTATUS=well\nWATCHDOG=1\nX_PGQUEUE={"ready": true}')
if BEHAVIOUR == "dies once" and earlier() == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if BEHAVIOUR == "ends well once" and earlier() == 1:
    sys.exit(0)
if BEHAVIOUR == "second fails" and earlier() == 1:
    sys.exit(1)
if (BEHAVIOUR == "silent once" and earlier() == 1) or BEHAVIOUR == "deaf":
    time.sleep(60)
obey(3 if BEHAVIOUR == "forced" else 0)
