"""What is read, what it means, and what is refused: with the field, the token and the range."""

from __future__ import annotations

import pytest

from pgqueue.cron.expression import Expression, read_expression
from pgqueue.cron.text import parse
from pgqueue.model.errors import InvalidSchedule

EVERY = {name: set(range(low, high + 1)) for name, low, high in (("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))}


def values(text: str, field: str) -> set[int]:
    return set(getattr(read_expression(text), field).values)


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("5 * * * *", "second", {0}),
        ("10 5 * * * *", "second", {10}),
        ("5-5 * * * *", "minute", {5}),
        ("5-6/2 * * * *", "minute", {5}),
        ("5-7/2 * * * *", "minute", {5, 7}),
        ("1,5-7/2,3 * * * *", "minute", {1, 3, 5, 7}),
        ("50/4 * * * *", "minute", {50, 54, 58}),
        ("59/15 * * * *", "minute", {59}),
        ("*/70 * * * *", "minute", {0}),
        ("0-59/99999999999 * * * *", "minute", {0}),
        ("0 22-23,0-2 * * *", "hour", {22, 23, 0, 1, 2}),
        ("0 0 1-1 * *", "day", {1}),
        ("0 0 */2 * *", "day", set(range(1, 32, 2))),
        ("0 0 ? * *", "day", EVERY["day"]),
        ("0 0 * JAN-mar *", "month", {1, 2, 3}),
        ("0 0 * ?/2 *", "month", {1, 3, 5, 7, 9, 11}),
        ("0 0 * * sun", "weekday", {0}),
        ("0 0 * * 7", "weekday", {0}),
        ("0 0 * * 5-7", "weekday", {5, 6, 0}),
        ("0 0 * * 7-7", "weekday", {0}),
        ("0 0 * * MON/2", "weekday", {1, 3, 5}),
        ("0 0 * * SUN-SUN", "weekday", {0}),
        ("  0   0\t* * *  ", "weekday", EVERY["weekday"]),
        ("@yearly", "month", {1}),
        ("@weekly", "weekday", {0}),
    ],
)
def test_fields_mean(text: str, field: str, expected: set[int]) -> None:
    assert values(text.strip(), field) == expected


@pytest.mark.parametrize(
    ("text", "star"),
    [("*", True), ("?", True), ("*/1", True), ("*,5", True), ("*/2", False), ("1-31", False), ("?/3", False)],
)
def test_a_day_field_restricts_nothing_by_the_rule_of_robfig(text: str, star: bool) -> None:
    assert read_expression(f"0 0 {text} * 5").day.star is star


@pytest.mark.parametrize(
    ("text", "is_fixed"),
    [
        ("30 2 * * *", True),
        ("0,30 2-4 * * *", True),
        ("*/10 30 2 * * *", True),
        ("* 2 * * *", False),
        ("30 */2 * * *", False),
        ("30 ? * * *", False),
        ("@daily", True),
        ("@hourly", False),
    ],
)
def test_what_names_times_of_day_is_fixed(text: str, is_fixed: bool) -> None:
    assert read_expression(text).is_fixed is is_fixed


@pytest.mark.parametrize(
    ("text", "field", "token", "allowed"),
    [
        ("60 * * * *", "minute", "'60'", "0-59"),
        ("60 * * * * *", "second", "'60'", "0-59"),
        ("0 24 * * *", "hour", "'24'", "0-23"),
        ("0 0 0 * *", "day of month", "'0'", "1-31"),
        ("0 0 32 * *", "day of month", "'32'", "1-31"),
        ("0 0 * 0 *", "month", "'0'", "1-12, JAN-DEC"),
        ("0 0 * 13 *", "month", "'13'", "1-12, JAN-DEC"),
        ("0 0 * * 8", "weekday", "'8'", "0-6, SUN-SAT"),
        ("0 0 * * XYZ", "weekday", "'XYZ'", "0-6, SUN-SAT"),
        ("0 0 * * Monday", "weekday", "'Monday'", "0-6, SUN-SAT"),
        ("0 0 * January *", "month", "'January'", "1-12, JAN-DEC"),
        ("* 5 j * * *", "hour", "'j'", "0-23"),
        ("*/0 * * * *", "minute", "'*/0'", "0-59"),
        ("*/-5 * * * *", "minute", "'*/-5'", "0-59"),
        ("*//2 * * * *", "minute", "'*//2'", "0-59"),
        ("*/ * * * *", "minute", "'*/'", "0-59"),
        ("1,,2 * * * *", "minute", "''", "0-59"),
        (", * * * *", "minute", "''", "0-59"),
        ("+5 * * * *", "minute", "'+5'", "0-59"),
        ("-5 * * * *", "minute", "'-5'", "0-59"),
        ("*-5 * * * *", "minute", "'*'", "0-59"),
        ("5--7 * * * *", "minute", "'-7'", "0-59"),
        ("1.5 * * * *", "minute", "'1.5'", "0-59"),
        ("\uff15 * * * *", "minute", "'\uff15'", "0-59"),
        ("0 0 * * 7-2", "weekday", "'7-2'", "0-6, SUN-SAT"),
        ("R * * * *", "minute", "'R'", "0-59"),
    ],
)
def test_a_wrong_field_is_refused_with_its_name_the_token_and_the_range(
    text: str, field: str, token: str, allowed: str
) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        parse(text)
    assert f"in the {field} field, {token}" in str(caught.value)
    assert f"Values are {allowed};" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("0 22-2 * * *", "22-23,0-2"),
        ("0 0 28-3 * *", "28-31,1-3"),
        ("0 0 * NOV-FEB *", "11-12,1-2"),
        ("0 0 * * FRI-MON", "5-6,0-1"),
    ],
)
def test_a_range_that_ends_before_it_begins_is_shown_as_two(text: str, rewritten: str) -> None:
    with pytest.raises(InvalidSchedule, match=f'Write two ranges: "{rewritten}"'):
        parse(text)
    (token,) = (each for each in text.split() if "-" in each)
    assert read_expression(text.replace(token, rewritten))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "has 4 fields"),
        ("* * * * * * *", "has 7 fields"),
        ("xyz", "has 1 fields"),
        ("0 0 30 2 *", "no month has that day"),
        ("0 0 31 4,6,9,11 *", "no month has that day"),
        ("@reboot", "Enqueue the job where the application starts"),
        ("@Daily", "is no descriptor"),
        ("@unrecognized", "is no descriptor"),
        ("CRON_TZ=Nowhere 0 0 * * *", "'Nowhere' is no time zone"),
        ("CRON_TZ=../etc/passwd 0 0 * * *", "is no time zone"),
        ("CRON_TZ= 0 0 * * *", "is no time zone"),
        ("TZ=UTC", "nothing follows the options"),
        ("TZ=UTC CRON_TZ=UTC 0 0 * * *", "names its tz twice"),
        ("GAP=maybe 0 0 * * *", "gap='maybe' is unknown"),
        ("FOLD=never 0 0 * * *", "fold='never' is unknown"),
        ("DIALECT=cron 0 0 * * *", "dialect='cron' is unknown"),
        ("cron_tz=UTC 0 0 * * *", "in the second field, 'cron_tz=UTC'"),
        ("0 0 L * *", 'dialect="extended"'),
        ("0 0 * * 5#2", 'dialect="quartz"'),
        ("H * * * *", 'dialect="extended"'),
        ("", "is no schedule"),
        (" ", "is no schedule"),
        ("1," * 200 + "1 * * * *", "characters, at most 256"),
    ],
)
def test_what_is_no_expression_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("given", [None, 5, b"* * * * *", ["* * * * *"], object()])
def test_what_is_no_text_is_refused(given: object) -> None:
    with pytest.raises(InvalidSchedule, match="is no schedule"):
        parse(given)  # type: ignore[arg-type]


def test_a_day_of_some_months_only_is_a_day() -> None:
    assert isinstance(read_expression("0 0 29 2 *"), Expression)
    assert isinstance(read_expression("0 0 31 2 1"), Expression), "Mondays in February"


def test_the_zone_is_named_in_one_place() -> None:
    assert parse("0 9 * * *", tz="Europe/Paris") == parse("CRON_TZ=Europe/Paris 0 9 * * *")
    assert parse("TZ=Europe/Paris 0 9 * * *", tz="Europe/Paris").text == "CRON_TZ=Europe/Paris 0 9 * * *"
    with pytest.raises(InvalidSchedule, match="Name the zone in one place"):
        parse("TZ=Europe/Paris 0 9 * * *", tz="UTC")
