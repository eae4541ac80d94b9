"""``pgqueue queues``."""

from __future__ import annotations

import psycopg

from tests.cli.conftest import Run


def test_queues_are_listed_with_what_stands_in_them(run: Run, database: psycopg.Connection) -> None:
    database.execute(
        "select pgqueue.enqueue('a', '{}', queue => 'mail'), pgqueue.enqueue('a', '{}', queue => 'mail', delay => '1 h')"
    )
    listed = run("queues", "list", "--json").json
    assert [(q["queue"], q["ready"], q["scheduled"], q["paused"]) for q in listed] == [("mail", 1, 1, False)]
    assert run("queues", "list").out.splitlines()[0].split()[:3] == ["QUEUE", "PAUSED", "READY"]


def test_without_queues_the_list_says_so(run: Run) -> None:
    assert run("queues", "list").out == "No queue has ever held a job.\n"


def test_pause_and_resume_are_kept_and_recorded(run: Run, database: psycopg.Connection) -> None:
    assert run("queues", "pause", "mail").out == "mail  paused\n"
    assert run("queues", "list", "--json").json[0]["paused"] is True
    assert run("queues", "resume", "mail", "--json").json == {"queue": "mail", "outcome": "resumed"}
    actions = database.execute("select action, queue from pgqueue.operator_action order by id").fetchall()
    assert actions == [("pause", "mail"), ("resume", "mail")]


def test_a_name_that_is_none_is_refused(run: Run) -> None:
    ended = run("queues", "pause", "")
    assert ended.code == 2
    assert "1 to 100 characters" in ended.err
