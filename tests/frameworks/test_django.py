"""What is Django's own: nested blocks, several databases, its tests, its migrations."""

from __future__ import annotations

import json
import uuid

from pgqueue import EmbeddedServer
from tests.frameworks.sites import PROJECT, Site, ask, named, run, running
from tests.support import Watch

# The project's own shell, since Django can be set up once in a process.
MIGRATIONS = """
from django.core.management import call_command
from shop.jobs import send_receipt
job = send_receipt.enqueue(1)
call_command("migrate", verbosity=0)
call_command("makemigrations", check=True, verbosity=0)
call_command("flush", interactive=False, verbosity=0)
call_command("migrate", "shop", "zero", verbosity=0)
call_command("migrate", verbosity=0)
print(job.status())
"""
ASYNCHRONOUS = """
import asyncio, json
from django.db import connection
from shop.jobs import send_receipt

async def view(enqueue):
    try:
        await enqueue(1)
    except Exception as error:
        return [type(error).__name__, str(error)]

async def enqueue_at_once(order):
    send_receipt.using(connection).enqueue(order)

print(json.dumps([asyncio.run(view(enqueue_at_once)), asyncio.run(view(send_receipt.using(connection).aenqueue))]))
"""
DSN = """
import os
from django.db import connections
from psycopg.conninfo import conninfo_to_dict
from pgqueue.contrib.django import database
assert "client_encoding" in connections["default"].get_connection_params()
print(conninfo_to_dict(database("default")()) == {**conninfo_to_dict(os.environ["DATABASE_URL"]), "client_encoding": "UTF8"})
"""


def shell(text: str, dsn: str) -> str:
    """Run Python in the project and return the last line that it printed."""
    return run(("manage", "shell", "--verbosity", "0", "-c", text), dsn, PROJECT).strip().splitlines()[-1]


def test_an_inner_block_that_is_rolled_back_takes_its_job_along_and_the_outer_one_commits(django_site: Site) -> None:
    orders, jobs = django_site.counts()
    enqueues = django_site.enqueues()
    reference = uuid.uuid4().hex
    status, placed, _ = django_site.post("wsgi", "/orders/gift", reference=reference)
    assert status == 201
    assert django_site.enqueues() == enqueues + 2
    assert django_site.counts() == (orders + 1, jobs + 1)
    assert django_site.ask("select reference from shop_order where id = %s", placed["order"]) == reference
    django_site.watch.until("select state = 'succeeded' from pgqueue.all_jobs where id = %s", placed["job"])


def test_a_job_on_another_connection_is_in_that_database_and_its_worker_works_there(
    django_site: Site, server: EmbeddedServer
) -> None:
    counts, europe = django_site.counts(), server.dsn_of("t_europe")
    reference = uuid.uuid4().hex
    assert django_site.post("wsgi", "/orders/europe", reference=reference, card="stolen").status == 500
    assert ask(europe, "select count(*) from shop_order") + ask(europe, "select count(*) from pgqueue.all_jobs") == 0
    status, placed, _ = django_site.post("wsgi", "/orders/europe", reference=reference)
    assert status == 201
    assert django_site.counts() == counts
    assert ask(europe, "select reference from shop_order where id = %s", placed["order"]) == reference
    programs = {"worker": ("pgqueue", "worker", "project.worker:pgq", "-c", "10")}
    more = {"EUROPE_DATABASE_URL": europe, "SHOP_DATABASE": "europe"}
    with running(programs, django_site.dsn, PROJECT, **more), Watch(named(europe)) as watch:
        watch.until("select state = 'succeeded' from pgqueue.all_jobs where id = %s", placed["job"])
    assert ask(europe, "select order_id from shop_receipt") == placed["order"]


def test_a_worker_keeps_none_of_djangos_connections(django_site: Site) -> None:
    placed = django_site.post("wsgi", "/orders", reference=uuid.uuid4().hex).body
    django_site.watch.until("select state = 'succeeded' from pgqueue.all_jobs where id = %s", placed["job"])
    django_site.watch.until("select count(*) = 0 from pg_stat_activity where application_name = 'worker'")


def test_a_handle_needs_no_connection_of_our_own(django_site: Site) -> None:
    assert django_site.post("wsgi", "/orders", reference=uuid.uuid4().hex).status == 201
    assert django_site.ask("select count(*) from pg_stat_activity where application_name = 'pgqueue producer'") == 0


def test_the_projects_own_tests_pass(django_site: Site) -> None:
    output = run(("manage", "test", "--noinput"), django_site.dsn, PROJECT)
    assert "Ran 3 tests" in output
    assert "OK" in output


def test_djangos_migrations_leave_our_tables_and_jobs_alone(dsn: str) -> None:
    assert shell(MIGRATIONS, dsn) == "ready"


def test_an_asynchronous_view_is_told_to_use_a_thread(dsn: str) -> None:
    (at_once, problem), (awaited, remedy) = json.loads(shell(ASYNCHRONOUS, dsn))
    assert at_once == "SynchronousOnlyOperation"
    assert "use a thread or sync_to_async" in problem
    assert awaited == "HandleError"
    assert "is synchronous and aenqueue is not" in remedy


def test_the_dsn_of_an_alias_is_what_databases_says(dsn: str) -> None:
    options = "&connect_timeout=7&options=-c%20statement_timeout%3D30s"
    assert shell(DSN, dsn.replace("postgres@", "ada:p%40ss%2Fw%C3%B6rd@") + options) == "True"
