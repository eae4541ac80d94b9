"""Schedules in one line: read, written again, and described in plain English."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pgqueue.cron import parse
from pgqueue.model.errors import InvalidSchedule

ANCHOR = datetime(2026, 3, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("* * * * *", "Every minute"),
        ("* * * * * *", "Every second"),
        ("*/5 * * * * *", "Every 5 seconds"),
        ("30 * * * * *", "At second 30 of every minute"),
        ("20 */5 * * * *", "At second 20, every 5 minutes"),
        ("10 5 * * * *", "At second 10 of minute 5"),
        ("*/10 5 * * * *", "Every 10 seconds in minute 5"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("3/5 * * * *", "Every 5 minutes from minute 3 on"),
        ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("5,20 * * * *", "At minutes 5 and 20 of every hour"),
        ("@hourly", "At minute 0 of every hour"),
        ("0 */2 * * *", "At minute 0 in hours 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 22, UTC"),
        ("*/15 9-17 * * 1-5", "Every 15 minutes in hours 9 to 17 on Monday to Friday, UTC"),
        ("0 14 * * *", "At 14:00 every day, UTC"),
        ("0 30 10 * * ?", "At 10:30 every day, UTC"),
        ("15 30 10 * * *", "At 10:30:15 every day, UTC"),
        ("0 9,18 * * *", "At 09:00 and 18:00 every day, UTC"),
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "At 02:30 every day, Europe/Berlin"),
        ("0 0 13 * 5", "At 00:00 on day 13 of the month or on Friday, UTC"),
        ("0 0 * * 0,6", "At 00:00 on Saturday and Sunday, UTC"),
        ("0 0 1-7 1-3 *", "At 00:00 on days 1 to 7 of the month in January to March, UTC"),
        ("@yearly", "At 00:00 on day 1 of the month in January, UTC"),
        ("DIALECT=extended 0 0 15,L * *", "At 00:00 on day 15 and the last day of the month, UTC"),
        ("DIALECT=extended 0 0 15W * *", "At 00:00 on the weekday nearest to day 15 of the month, UTC"),
        ("DIALECT=extended 0 0 * * FRI#3", "At 00:00 on the third Friday of the month, UTC"),
        ("DIALECT=quartz 0 0 12 ? * 6L", "At 12:00 on the last Friday of the month, UTC"),
        ("DIALECT=quartz 0 */5 8-18 * * ?", "Every 5 minutes in hours 8 to 18, UTC"),
        ("DIALECT=quartz 0 0 12 1 1 ? 2030", "At 12:00 on day 1 of the month in January in 2030, UTC"),
        ("@every 1s", "Every second"),
        ("@every 5400s", "Every 1 hour 30 minutes"),
        ("@every 604800s", "Every week"),
        ("@every 5s to 10s", "At random intervals of 5 seconds to 10 seconds"),
        ("@every 1s to 60s", "At random intervals of 1 second to 1 minute"),
        ("@every day at 09:00", "At 09:00 every day, UTC"),
        ("CRON_TZ=Europe/Paris @every 2 days at 09:00,17:30:15", "At 09:00 and 17:30:15 every 2 days, Europe/Paris"),
        ("@every week on MON,FRI at 09:00", "At 09:00 on Monday and Friday every week, UTC"),
        ("@every 2 months on 15,-1 at 09:00", "At 09:00 on day 15 and the last day of every 2 months, UTC"),
        ("@every month on -3 at 09:00", "At 09:00 on the last day but 2 of every month, UTC"),
        ("@once 2026-12-24T18:00:00Z", "Once at 2026-12-24 18:00:00, UTC"),
        (
            "@once 2026-12-24T18:00:00Z,2026-12-31T22:59:59Z",
            "At 2026-12-24 18:00:00 and at 1 more, the last 2026-12-31 22:59:59, UTC",
        ),
        ("@after 600s", "10 minutes after the run before has ended"),
        ("@after 60s", "1 minute after the run before has ended"),
    ],
)
def test_a_schedule_is_written_as_it_is_read_and_says_when_in_words(text: str, sentence: str) -> None:
    when = parse(text, anchor=ANCHOR, key="k")
    assert when.text == text
    assert when.describe() == sentence
    assert parse(when.text, anchor=ANCHOR, key="k") == when


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("  */5   * * * *  ", "*/5 * * * *"),
        ("TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=Asia/Tokyo 0 9 * * *"),
        ("GAP=run FOLD=once CRON_TZ=UTC 0 9 * * *", "0 9 * * *"),
        ("FOLD=both GAP=skip TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=Asia/Tokyo GAP=skip FOLD=both 0 9 * * *"),
        ("CRON_TZ=Asia/Tokyo @every 1h30m", "@every 5400s"),
        ("@every 1.5h", "@every 5400s"),
        ("@every 1500ms", "@every 1s"),
        ("@every 1h0m1.9s", "@every 3601s"),
        ("@every 5m to 1h", "@every 300s to 3600s"),
        ("@every 1 days at 9:00", "@every day at 09:00"),
        ("@every week on friday,MON at 9:00:00", "@every week on MON,FRI at 09:00"),
        ("@once 2026-12-31T23:59:59+01:00", "@once 2026-12-31T22:59:59Z"),
        ("@after 10m", "@after 600s"),
    ],
)
def test_what_means_the_same_is_written_the_same(text: str, written: str) -> None:
    assert parse(text).text == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@every", "is no length of time"),
        ("@every ", "is no length of time"),
        ("@every 10", "is no length of time"),
        ("@every -10s", "is no length of time"),
        ("@every 0s", "is no length of time"),
        ("@every 999ms", "is no length of time"),
        ("@every Xm", "'Xm' is no length of time"),
        ("@every 1d", "is no length of time"),
        ("@every 999999999h", "is no length of time"),
        ("@every 10s to 5s", "is not shorter"),
        ("@every 2 days on MON at 09:00", "days do not"),
        ("@every week at 09:00", "weeks and months name their days"),
        ("@every 0 days at 09:00", "every=0"),
        ("@every 2 fortnights at 09:00", "is no length of time"),
        ("@every day at 25:00", "is no time of day"),
        ("@every month on x at 09:00", "'x' is no day of a month"),
        ("@every month on 32 at 09:00", "is no day of a month"),
        ("@once tomorrow", "'tomorrow' is no instant"),
        ("@once 2026-12-24T18:00:00", "is not a datetime with a zone"),
        ("@once ", "is no instant"),
        ("@after x", "is no length of time"),
        ("@later 10s", "is no descriptor"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        parse(text)
    assert said in str(caught.value)
