"""When things happen: cron expressions, intervals, calendars, instants. Pure values, no input or output."""

from __future__ import annotations

from pgqueue.cron.calendar import Daily, Monthly, Weekly
from pgqueue.cron.kinds import AfterCompletion, Cron, Every, EveryBetween, Once
from pgqueue.cron.text import parse
from pgqueue.cron.when import When

__all__ = ["AfterCompletion", "Cron", "Daily", "Every", "EveryBetween", "Monthly", "Once", "Weekly", "When", "parse"]
