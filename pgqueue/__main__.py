"""``python -m pgqueue`` is the command ``pgqueue``."""

from pgqueue.cli.main import main

main()
