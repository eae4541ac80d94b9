"""Two databases on PostgreSQL, the second for customers in Europe; a request is a transaction."""

import os
from typing import Any

from psycopg.conninfo import conninfo_to_dict


def _database(url: str) -> dict[str, Any]:
    parts = conninfo_to_dict(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    named = {name: parts.pop(part, "") for name, part in names.items()}
    return {"ENGINE": "django.db.backends.postgresql", **named, "OPTIONS": parts}


SECRET_KEY = os.environ.get("SECRET_KEY", "only for trying it out")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {**_database(os.environ["DATABASE_URL"]), "ATOMIC_REQUESTS": True}}
if "EUROPE_DATABASE_URL" in os.environ:
    DATABASES["europe"] = _database(os.environ["EUROPE_DATABASE_URL"])
