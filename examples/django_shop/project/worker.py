"""For ``pgqueue worker project.worker:pgq``: sets Django up, then imports the jobs."""

import importlib
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

pgq = importlib.import_module("shop.jobs").pgq
