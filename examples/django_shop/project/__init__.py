"""A small shop on Django; docs/frameworks.md explains it.

DATABASE_URL=... python manage.py migrate
DATABASE_URL=... python manage.py runserver
DATABASE_URL=... pgqueue worker project.worker:pgq -c 10
"""
