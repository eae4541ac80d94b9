"""How a job shares a key with others: who counts as the same, how long, and what a second one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from pgqueue.model.conversion import short
from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import InvalidOption

Scope: TypeAlias = Literal["started", "finished", "retention", "ttl"]
OnConflict: TypeAlias = Literal["skip", "raise", "replace"]

LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one job of a key in a queue, for as long as the scope says.

    Args:
        args: Names of the arguments that make two calls the same; None: all of them.
        scope: Until the first job is taken up by a worker ("started"), ends ("finished"), leaves the history ("retention",
            90 days from the enqueue), or only until the period is over ("ttl").
        period: Longest time that the key is held; needed by "ttl".
        on_conflict: "skip" returns the job that holds the key, "raise" raises JobExists, "replace" puts the new arguments
            and options into the job that waits.

    Raises:
        InvalidOption: A word is unknown, the period is not positive, or "ttl" has none.
    """

    args: Sequence[str] | None = None
    scope: Scope = "finished"
    period: Duration | None = None
    on_conflict: OnConflict = "skip"

    def __post_init__(self) -> None:
        _check_word("scope", self.scope, get_args(Scope))
        _check_word("on_conflict", self.on_conflict, get_args(OnConflict))
        if self.args is not None and (isinstance(self.args, str) or not all(isinstance(n, str) for n in self.args)):
            raise InvalidOption(
                f"args={short(self.args)} is not a list of names.", 'Pass a list, for example ["user_id"].'
            )
        if self.period is None and self.scope == "ttl":
            raise InvalidOption('scope="ttl" needs a period.', 'Pass period=, for example "1h".')
        if self.period is not None and seconds(self.period, "period") <= 0:
            raise InvalidOption(f"period={short(self.period)} is not positive.", "Leave it out, or pass one like '1h'.")

    @property
    def seconds(self) -> float | None:
        """The period in seconds."""
        return None if self.period is None else seconds(self.period, "period")


def check_unique(value: Any) -> Unique | Literal[False]:
    """Return how a job is unique; False where it is said not to be."""
    if value is True:
        return Unique()
    if value is False or isinstance(value, Unique):
        return value
    raise InvalidOption(
        f"unique={short(value)} is not True, False or a Unique.", "Pass Unique(args=[...], period='1h')."
    )


def _check_word(option: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        raise InvalidOption(f"{option}={short(value)} is not one of {', '.join(words)}.", "Choose one of these words.")
