"""What DATABASES says, as a DSN."""

from django.db import connections
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo


def dsn_of(alias: str) -> str:
    """Return the DSN of one of DATABASES; in a test, of the test's database."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    given = connections[alias].get_connection_params()
    return make_conninfo(**{name: value for name, value in given.items() if name in known})
