"""``pgqueue jobs``: what is shown, what is changed, how it ends."""

from __future__ import annotations

import psycopg
import pytest

from tests.cli.conftest import Run


def enqueue(database: psycopg.Connection, task: str = "mail", **options: object) -> str:
    """Enqueue through SQL; return the id."""
    names = "".join(f", {name} => %s" for name in options)
    row = database.execute(f"select pgqueue.enqueue(%s, '{{}}'{names})::text", (task, *options.values())).fetchone()
    assert row is not None
    return str(row[0])


def test_the_list_is_aligned_and_newest_first(run: Run, database: psycopg.Connection) -> None:
    first, second = enqueue(database, "mail"), enqueue(database, "picture", queue="images")
    lines = run("jobs", "list").out.splitlines()
    assert lines[0].split()[:4] == ["ID", "STATE", "QUEUE", "TASK"]
    assert [line.split()[0] for line in lines[1:]] == [second, first]
    assert len({line.index(word) for line, word in zip(lines[1:], ["ready", "ready"], strict=True)}) == 1


def test_the_list_can_be_narrowed(run: Run, database: psycopg.Connection) -> None:
    wanted = enqueue(database, "picture", queue="images", delay="1 hour")
    enqueue(database, "picture")
    found = run("jobs", "list", "--state", "scheduled", "-q", "images", "-t", "picture", "-n", "5", "--json").json
    assert [job["id"] for job in found] == [wanted]
    assert run("jobs", "list", "--task", "nothing").out == "No such jobs.\n"


def test_a_job_is_shown_with_its_attempts(run: Run, database: psycopg.Connection) -> None:
    job_id = enqueue(database, "mail", headers='{"trace": "abc"}', tags=["vip"])
    shown = run("jobs", "show", job_id)
    assert "trace" in shown.out
    assert "vip" in shown.out
    as_json = run("jobs", "show", job_id, "--json").json
    assert as_json["id"] == job_id
    assert as_json["attempts"] == []
    assert as_json["headers"] == {"trace": "abc"}


def test_cancel_then_retry_and_each_leaves_a_row(run: Run, database: psycopg.Connection) -> None:
    job_id = enqueue(database)
    assert run("jobs", "cancel", job_id).out == f"{job_id}  cancelled\n"
    assert run("jobs", "retry", job_id).out == f"{job_id}  retried\n"
    actions = database.execute(
        "select action, job_id::text, outcome, actor from pgqueue.operator_action order by id"
    ).fetchall()
    assert [action[:3] for action in actions] == [("cancel", job_id, "cancelled"), ("retry", job_id, "retried")]
    assert all("@" in actor for *_, actor in actions), "the actor is a person at a host, not the database's role"


def test_a_live_job_cannot_be_retried(run: Run, database: psycopg.Connection) -> None:
    job_id = enqueue(database)
    ended = run("jobs", "retry", job_id)
    assert ended.code == 1
    assert "only dead, cancelled and expired jobs" in ended.out


@pytest.mark.parametrize("command", ["retry", "cancel"])
def test_some_ids_that_do_not_exist_do_not_stop_the_others(
    run: Run, database: psycopg.Connection, command: str
) -> None:
    job_id = enqueue(database)
    run("jobs", "cancel", job_id) if command == "retry" else None
    ended = run("jobs", command, "999", job_id, "nonsense", "--json")
    assert ended.code == 1
    outcomes = {entry["id"]: entry["outcome"] for entry in ended.json}
    assert outcomes[job_id] in ("retried", "cancelled")
    assert outcomes["999"].startswith("not done")
    assert "not a job's id" in outcomes["nonsense"]


@pytest.mark.parametrize("job_id", ["0", "-1", "9999999999999999999999", "abc", "1; drop table pgqueue.job", "٣"])
def test_an_id_that_is_none_is_refused(run: Run, job_id: str) -> None:
    ended = run("jobs", "show", "--", job_id)
    assert ended.code == 1
    assert "is not a job's id" in ended.err


def test_a_job_that_does_not_exist_ends_with_one(run: Run) -> None:
    ended = run("jobs", "show", "42", "--json")
    assert ended.code == 1
    assert ended.out == ""
    assert '"type": "JobNotFound"' in ended.err


def test_a_wrong_limit_is_refused(run: Run) -> None:
    ended = run("jobs", "list", "--limit", "0")
    assert ended.code == 2
    assert "limit=0" in ended.err


def test_an_ended_job_cannot_be_cancelled_and_the_audit_says_refused(run: Run, database: psycopg.Connection) -> None:
    job_id = enqueue(database)
    run("jobs", "cancel", job_id)
    database.execute("update pgqueue.job_history set state = 'dead'")
    ended = run("jobs", "cancel", job_id)
    assert ended.code == 1
    assert "it is dead" in ended.out
    last = database.execute("select outcome from pgqueue.operator_action order by id desc limit 1").fetchone()
    assert last == ("refused: dead",)
