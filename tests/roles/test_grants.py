"""The whole matrix of grants against a table written here: none can be added unseen, and the page says what is so."""

from __future__ import annotations

import psycopg
import pytest

from tests.docs.pages import DOCS
from tests.roles.conftest import ROLES, Login

EVERYBODY = "producer worker auditor admin"
READERS = {"auditor": "select", "admin": "select"}
LANE = {"worker": "select insert update delete maintain"}

# Who may execute a function; a function that is not named here is an error.
FUNCTIONS = {
    "actor": "",
    "adopt": "admin",
    "cancel": "admin",
    "cancel_jobs": "admin",
    "change_access": "",
    "channel": "worker",
    "check_job": "",
    "check_queue": "",
    "check_times": "",
    "complete": "producer worker",
    "enqueue": "producer worker",
    "enqueue_jobs": "producer worker",
    "enqueue_keyed": "producer worker",
    "enqueue_many": "producer worker",
    "field_problem": "",
    "grant_access": "",
    "job_states": EVERYBODY,
    "key_of": "",
    "make_partition": "",
    "make_partitions": "worker",
    "more_of": "",
    "pause": "admin",
    "refuse_truncate": "",
    "replace_job": "",
    "resume": "admin",
    "retire_partition": "worker",
    "retry": "admin",
    "revoke_access": "",
    "role_grants": "",
    "take_key": "",
    "unique_key": EVERYBODY,
    "wake": "worker",
    "write_jobs": "",
}

# What each role may do with a table or a view, or with columns of it; partitions of a table count as one.
TABLES: dict[str, dict[str, str]] = {
    "all_attempts": READERS,
    "all_jobs": READERS,
    "home": {"worker": "select"},
    "job": LANE,
    "job_attempt": {"worker": "select insert", **READERS},
    "job_attempt_<day>": {},
    "job_checkpoint": {"worker": "select insert update delete", **READERS},
    "job_history": {"worker": "select insert", **READERS},
    "job_history_<day>": {},
    "job_key": {"worker": "select insert update delete", **READERS},
    "job_progress": {"worker": "select insert update delete", **READERS},
    "job_signal": {"worker": "select insert update delete"},
    "lease": LANE,
    "migration": READERS,
    "misplaced_jobs": READERS,
    "operator_action": READERS,
    "queue": {"worker": "select insert update", **READERS},
    "queue_stats": READERS,
    "ready": LANE,
    "schedule": READERS,
    "schedule_tick": READERS,
    "scheduled": LANE,
    "worker": {**LANE, **READERS},
    "worker_idle": LANE,
    "worker_log": {"worker": "select insert update delete", **READERS},
}

SEQUENCES: dict[str, dict[str, str]] = {
    "job_id_seq": {"worker": "usage"},
    "job_signal_id_seq": {},
    "operator_action_id_seq": {},
    "ready_seq": {"worker": "usage"},
}

# The page's rows, and the privileges that are meant: "yes" is all of them, an empty cell is none.
WORDS = {
    "enqueue, one or many, with keys": "execute:enqueue execute:enqueue_many execute:enqueue_jobs execute:enqueue_keyed",
    "see where a job stands, wait for it": "execute:job_states",
    "read arguments, results, errors": "select:job_history select:job_attempt",
    "read history and attempts, in the tables": "select:job_history select:job_attempt",
    "read the views of jobs and attempts, operators' actions": "select:all_jobs select:all_attempts "
    "select:operator_action",
    "claim, run and end jobs": "insert:lease delete:lease update:job delete:job delete:ready insert:job_history",
    "cancel, retry, pause, resume, adopt": "execute:cancel execute:retry execute:pause execute:resume execute:adopt",
    "drop days of history that are older than 90 days": "execute:retire_partition",
    "change or delete history otherwise": "update:job_history delete:job_history truncate:job_history update:job_attempt "
    "delete:job_attempt truncate:job_attempt delete:operator_action",
    "create partitions of history ahead": "execute:make_partitions",
    "drop partitions that are over": "execute:retire_partition",
    "vacuum the lanes": "maintain:ready maintain:scheduled maintain:lease",
}

# "draw" is these tests' own, see the conftest at the top.
FUNCTIONS_HELD = """
select p.proname, 'execute', bool_or(has_function_privilege(%(user)s, p.oid, 'execute'))
from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace and p.proname <> 'draw' group by p.proname
"""
TABLES_HELD = """
select regexp_replace(c.relname, '[0-9]{8}$', '<day>'), a.privilege, bool_or(
  has_table_privilege(%(user)s, c.oid, a.privilege)
  or case when a.privilege in ('select', 'insert', 'update', 'references')
      then has_any_column_privilege(%(user)s, c.oid, a.privilege) else false end)
from pg_class c, unnest(%(privileges)s::text[]) a(privilege)
where c.relnamespace = 'pgqueue'::regnamespace and c.relkind not in ('i', 'I', 'S') group by 1, 2
"""
SEQUENCES_HELD = """
select c.relname, a.privilege, has_sequence_privilege(%(user)s, c.oid, a.privilege)
from pg_class c, unnest('{select,usage,update}'::text[]) a(privilege)
where c.relnamespace = 'pgqueue'::regnamespace and c.relkind = 'S'
"""
Held = dict[str, set[str]]


def held(database: psycopg.Connection, user: str) -> Held:
    """Return every object of the schema with the privileges on it that a role of the database has, by any way."""
    privileges = [
        "select",
        "insert",
        "update",
        "delete",
        "truncate",
        "references",
        "trigger",
        *knows_maintain(database),
    ]
    found: Held = {}
    for question in (FUNCTIONS_HELD, TABLES_HELD, SEQUENCES_HELD):
        asked = question.encode()
        for name, privilege, has in database.execute(asked, {"user": user, "privileges": privileges}):
            found.setdefault(_named(question, name), set()).update({privilege} if has else ())
    return found


def knows_maintain(database: psycopg.Connection) -> list[str]:
    """Return the privilege that came with PostgreSQL 17, if the server is as new."""
    return ["maintain"] if database.info.server_version >= 170000 else []


def written(database: psycopg.Connection, role: str) -> Held:
    """Return what ``held`` has to return, from the tables of this file."""
    unknown = {"maintain"} - set(knows_maintain(database))
    functions = {f"{name}()": {"execute"} if role in who.split() else set[str]() for name, who in FUNCTIONS.items()}
    others = {name: set(who.get(role, "").split()) - unknown for name, who in {**TABLES, **SEQUENCES}.items()}
    return functions | others


def user_of(url: str) -> str:
    """Return the role of the database that a URL connects as."""
    return str(psycopg.conninfo.conninfo_to_dict(url)["user"])


def _named(question: str, name: str) -> str:
    return f"{name}()" if question is FUNCTIONS_HELD else name


@pytest.mark.parametrize("role", [*ROLES, "stranger"])
def test_a_role_has_these_privileges_and_no_other(login: Login, database: psycopg.Connection, role: str) -> None:
    user = user_of(login(role))
    with psycopg.connect(login("worker"), autocommit=True) as worker:
        worker.execute("select pgqueue.make_partitions(20)")  # a new partition is nobody's either
    assert held(database, user) == written(database, role)


@pytest.mark.parametrize("role", [*ROLES, "stranger"])
def test_a_role_uses_the_schema_makes_nothing_in_it_and_hands_nothing_on(
    login: Login, database: psycopg.Connection, role: str
) -> None:
    user = user_of(login(role))
    asked = (
        "select has_schema_privilege(%(user)s, 'pgqueue', 'usage'), has_schema_privilege(%(user)s, 'pgqueue', 'create')"
    )
    assert database.execute(asked, {"user": user}).fetchone() == (role in ROLES, False)
    handed_on = """
        select o.name, a.privilege_type from (
          select relname as name, relacl as acl from pg_class where relnamespace = 'pgqueue'::regnamespace
          union all select proname, proacl from pg_proc where pronamespace = 'pgqueue'::regnamespace
          union all select nspname, nspacl from pg_namespace where nspname = 'pgqueue'
        ) o, aclexplode(o.acl) a where a.is_grantable and a.grantee = %s::regrole
    """
    assert database.execute(handed_on, (user,)).fetchall() == []


def test_roles_add_up_and_taking_one_takes_what_another_gives_too(login: Login, database: psycopg.Connection) -> None:
    user = user_of(login("producer"))
    database.execute("select pgqueue.grant_access('auditor', %s)", (user,))
    producer, auditor = written(database, "producer"), written(database, "auditor")
    assert held(database, user) == {name: producer[name] | auditor[name] for name in producer}
    database.execute("select pgqueue.revoke_access('producer', %s)", (user,))
    assert held(database, user) == {name: auditor[name] - producer[name] for name in producer}


def test_what_was_taken_is_gone_whole(login: Login, database: psycopg.Connection) -> None:
    user = user_of(login("stranger"))
    for verb in ("grant_access", "revoke_access"):
        for role in ROLES:
            database.execute(f"select pgqueue.{verb}(%s, %s)".encode(), (role, user))
    assert held(database, user) == written(database, "stranger")


@pytest.mark.parametrize("role", ROLES)
def test_the_list_of_grants_is_exact(database: psycopg.Connection, role: str) -> None:
    listed: Held = {name: set() for name in written(database, role)}
    rows = database.execute(
        "select privileges, kind, objects from pgqueue.role_grants() where %s = any(roles)", (role,)
    )
    for privileges, kind, objects in rows:
        for name in objects:
            listed[f"{name}()" if kind == "function" else name].update((privileges or "").replace(",", " ").split())
    assert listed == written(database, role)


def said() -> dict[str, dict[str, str]]:
    """Return the cells of the page's tables by row and role; the second speaks of the worker alone."""
    lines = [line for line in (DOCS / "roles.md").read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
    return {
        row: dict(zip(ROLES, cells, strict=True)) if len(cells) == len(ROLES) else {"worker": cells[-1]}
        for row, *cells in rows
        if row not in ("May", "Duty")
    }


def test_every_row_of_the_page_is_looked_at() -> None:
    assert set(said()) == set(WORDS)


@pytest.mark.parametrize("row", WORDS)
def test_what_the_page_says_of_a_role_is_so(row: str) -> None:
    for role in ROLES:
        may = set()
        for privilege, name in (one.split(":") for one in WORDS[row].split()):
            granted = FUNCTIONS[name].split() if privilege == "execute" else TABLES[name].get(role, "").split()
            may.add((role if privilege == "execute" else privilege) in granted)
        assert may == {said()[row].get(role, "") != ""}, f"{role}: {may}"
