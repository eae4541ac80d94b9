"""A file that exists while the worker takes jobs, for those who can ask nothing else: scripts, probes by command."""

from __future__ import annotations

import os
from pathlib import Path

from pgqueue.model.errors import ConfigurationError
from pgqueue.worker.observed import Observed


class ReadyFile:
    """Makes and removes the file; its time of change is of the last second while the event loop turns.

    Args:
        path: Where. One that a killed predecessor left is removed.

    Raises:
        ConfigurationError: The file cannot be made there.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        try:
            self._path.touch()
            self._path.unlink()
        except OSError as error:
            raise ConfigurationError(
                f"The ready file {path!r} cannot be made: {error.strerror}.",
                "Name a file in a folder that exists and may be written to.",
            ) from None

    def follow(self, seen: Observed) -> None:
        """Make or remove the file."""
        if seen.is_ready:
            self._path.write_text(f"{os.getpid()}\n")
        else:
            self.remove()

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self._path.unlink(missing_ok=True)
