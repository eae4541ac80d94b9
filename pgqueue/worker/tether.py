"""What ties a worker process to the parent that started it (``pgqueue worker --processes``).

The parent's words come down a pipe, a line each: stop, hurry, quiet, resume. They are no signals, because a service manager
may signal parent and children alike, and each would count twice. The end of the pipe is the end of the parent: the worker
stops in phases. What the worker has to say goes up a datagram socket, as systemd would be told it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping

from pgqueue.worker.notifier import Notifier, watchdog_seconds

VARIABLE = "PGQUEUE_TETHER"
_MOST_BYTES = 4096


def described(notices: socket.socket, words: int) -> dict[str, str]:
    """Return what a child's environment needs to find the ends that it inherits."""
    return {VARIABLE: f"{notices.fileno()},{words}"}


class Tether:
    """The child's ends.

    Args:
        notices: Descriptor of the datagram socket to the parent.
        words: Descriptor of the pipe from the parent.

    Attributes:
        notifier: Tells the parent how the worker is.
        every: Within how many seconds it has to; None: a second will do.
    """

    def __init__(self, notices: int, words: int, watchdog: float | None) -> None:
        for descriptor in (notices, words):
            os.set_inheritable(descriptor, False)  # what handlers start must not hold them
        self.every = None if watchdog is None else watchdog / 2
        self.notifier = Notifier(socket.socket(fileno=notices), with_facts=True)
        self._words = words
        self._rest = b""

    @classmethod
    def found_in(cls, environment: MutableMapping[str, str]) -> Tether | None:
        """Return the ends that a parent left for this process, and take them out of the environment; None without a parent."""
        ends = environment.pop(VARIABLE, None)
        if ends is None:
            return None
        notices, words = map(int, ends.split(","))
        return cls(notices, words, watchdog_seconds(environment))

    def obey(self, verbs: Mapping[str, Callable[[], None]]) -> None:
        """Do what the parent says, from now on, on the running event loop; when it is gone, as if it had said stop."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            heard = os.read(self._words, _MOST_BYTES)
            if not heard:
                loop.remove_reader(self._words)
                heard = b"stop\n"
            *lines, self._rest = (self._rest + heard).split(b"\n")
            for line in lines:
                verbs[line.decode()]()

        loop.add_reader(self._words, read)
