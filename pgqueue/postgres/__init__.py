"""The backend on PostgreSQL. The only package that knows psycopg."""
