"""A question that one service asks another: is there nothing? Only a look that began after it was asked answers it."""

from __future__ import annotations


class Inquiry:
    """Numbered questions, so that a look that was under way when one was asked does not answer it."""

    def __init__(self) -> None:
        self._asked = 0
        self._answered = 0

    def ask(self) -> None:
        """Want to know from now on."""
        self._asked += 1

    @property
    def asked(self) -> int:
        """The number of the last question; who begins a look notes it."""
        return self._asked

    def answer(self, asked: int) -> None:
        """A look that began after this question found nothing."""
        self._answered = asked

    @property
    def is_answered(self) -> bool:
        """Whether nothing was found since the last question."""
        return 0 < self._asked == self._answered
