"""For servers that speak ASGI: the site with a worker in each of their processes."""

import importlib

from pgqueue.contrib.asgi import with_worker

from .asgi import application as site  # sets Django up

pgq = importlib.import_module("shop.jobs").pgq
application = with_worker(site, pgq, concurrency=10, stop_timeout="5s")
