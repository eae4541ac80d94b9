"""A server that loads the Flask shop, uses both pools, and then forks two processes that serve, as gunicorn --preload does."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import NoReturn

from flask import Response
from werkzeug.serving import make_server

from examples.flask_shop import Base, app, engine

CHILDREN = 2


@app.after_request
def say_who_answers(response: Response) -> Response:
    """Add the process's number to each answer."""
    response.headers["X-Process"] = str(os.getpid())
    return response


def main() -> None:
    """Serve until told to end."""
    listening = socket.create_server(("127.0.0.1", 0))
    Base.metadata.create_all(engine)
    client = app.test_client()
    assert client.post("/orders", json={"reference": "before the fork", "card": ""}).status_code == 201
    assert client.post("/receipts/1").status_code == 202
    children = [os.fork() or serve(listening) for _ in range(CHILDREN)]
    signal.signal(signal.SIGTERM, lambda *_: end(children))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}")
    signal.pause()


def serve(listening: socket.socket) -> NoReturn:
    """Serve in a child, one request at a time, on connections of its own."""
    engine.dispose(close=False)
    make_server("127.0.0.1", 0, app, fd=listening.fileno()).serve_forever()
    sys.exit()


def end(children: list[int]) -> NoReturn:
    """End the children, then this process."""
    for child in children:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    sys.exit()


if __name__ == "__main__":
    main()
