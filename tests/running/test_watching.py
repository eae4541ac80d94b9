"""What those outside are told: by systemd's protocol, over HTTP, by a file."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import sys
import threading
from pathlib import Path

import pytest
from anyio import to_thread

from pgqueue import ConfigurationError, InvalidOption, PgQueue
from pgqueue.worker.health import HealthServer, parse_address
from pgqueue.worker.notifier import service_manager, watchdog_seconds
from pgqueue.worker.observed import Observed
from pgqueue.worker.readiness import ReadyFile
from tests.worker.fakes import job_of
from tests.worker.harness import PATIENCE, Heard, timed


class Seen:
    """Somebody whose state the test sets."""

    is_live = is_ready = is_sound = True
    is_stopping = False

    def summary(self) -> str:
        return "well"

    def status(self) -> dict[str, object]:
        return {"running": 3}


def get(address: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_page_that_cannot_be_made_is_answered_all_the_same() -> None:
    class Broken(Seen):
        def status(self) -> dict[str, object]:
            raise RuntimeError("a defect")

    with HealthServer("127.0.0.1:0", Broken()) as server:
        status, body = get(server.address, "/")
    assert (status, json.loads(body)) == (500, {"error": "RuntimeError: a defect"})


def test_a_worker_may_be_asked_how_it_is_from_any_thread_while_jobs_are_parked() -> None:
    pgq = PgQueue("postgresql:///")

    @pgq.task(limit=1)
    async def limited() -> None:
        pass

    worker, problems, asked = pgq.worker(), list[Exception](), threading.Event()
    buffers = worker._parts.buffers
    jobs = [job_of(number, "default")._replace(task=limited.name) for number in range(300)]

    def ask() -> None:
        try:
            for _ in range(3000):
                assert worker.status()["queues"]["default"]["buffered"] <= len(jobs)
        except (RuntimeError, AssertionError) as error:
            problems.append(error)
        asked.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threading.Thread(target=ask).start()
        while not asked.is_set():
            buffers.add("default", jobs)
            while buffers.take() is not None:
                pass
            buffers.drain()
    finally:
        sys.setswitchinterval(before)
    assert problems == []


def bound(address: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(address)
    listening.settimeout(PATIENCE)
    return listening


@pytest.mark.parametrize("kind", ["abstract", "path"])
def test_a_service_manager_is_told_what_changed_and_that_all_is_well(kind: str, tmp_path: Path) -> None:
    name = f"@pgqueue-test-{os.getpid()}" if kind == "abstract" else str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": name, "OTHER": "stays"}
    with bound(name.replace("@", "\0")) as manager:
        notifier = service_manager(environment)
        assert notifier is not None
        assert environment == {"OTHER": "stays"}, "what handlers start must not speak in our name"
        seen = Seen()
        notifier.follow(seen)
        assert manager.recv(4096) == b"READY=1\nSTATUS=well\nWATCHDOG=1"
        notifier.follow(seen)
        assert manager.recv(4096) == b"WATCHDOG=1"
        seen.is_sound, seen.is_stopping, seen.is_ready = False, True, False
        notifier.follow(seen)
        assert manager.recv(4096) == b"STOPPING=1"
        notifier.close()


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    with bound(str(tmp_path / "notify")):
        notifier = service_manager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert notifier is not None
        for _ in range(1000):
            notifier.follow(Seen())
        notifier.close()


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "vsock:2:1234"])
def test_without_a_manager_that_can_be_reached_nobody_is_told(name: str) -> None:
    assert service_manager({"NOTIFY_SOCKET": name}) is None


@pytest.mark.parametrize(
    ("length", "process", "seconds"),
    [
        ("3000000", "own", 3.0),
        ("500000", "", 0.5),
        ("3000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_a_watchdog_is_one_that_means_this_process(length: str, process: str, seconds: float | None) -> None:
    environment = {"WATCHDOG_USEC": length, "WATCHDOG_PID": process.replace("own", str(os.getpid()))}
    assert watchdog_seconds(environment) == seconds
    assert environment == {}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", ("", 8080)),
        (":8080", ("", 8080)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":", "host:", "host", "::1:80", "host:65536", "host:-1", "host:80:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="not an address"):
        parse_address(text)


def test_health_is_answered_over_http_as_it_is() -> None:
    seen = Seen()
    with HealthServer("127.0.0.1:0", seen) as server:
        assert get(server.address, "/live")[0] == get(server.address, "/ready?verbose=1")[0] == 200
        seen.is_live = False
        assert get(server.address, "/live") == (503, b'{\n  "live": false,\n  "status": "well"\n}\n')
        assert json.loads(get(server.address, "/")[1]) == {"live": False, "ready": True, "running": 3}
        assert get(server.address, "/", "HEAD") == (200, b"")
        assert get(server.address, "/other")[0] == 404
        assert get(server.address, "/", "POST")[0] == 501


@pytest.mark.parametrize("address", ["", "0.0.0.0", "[::1]"])
def test_it_listens_on_all_addresses_or_on_the_one_given(address: str) -> None:
    if "::" in address and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with HealthServer(f"{address}:0", Seen()) as server:
        port = server.address.rpartition(":")[2]
        assert get(f"{'[::1]' if '::1' in address else '127.0.0.1'}:{port}", "/live")[0] == 200


def test_a_port_that_is_taken_is_said() -> None:
    with (
        HealthServer("127.0.0.1:0", Seen()) as server,
        pytest.raises(ConfigurationError, match="cannot be listened on"),
    ):
        HealthServer(server.address, Seen())


def test_the_file_is_there_while_it_is_ready(tmp_path: Path) -> None:
    path, seen = tmp_path / "ready", Seen()
    path.write_text("left by one that was killed")
    file = ReadyFile(str(path))
    assert not path.exists()
    file.follow(seen)
    assert path.read_text() == f"{os.getpid()}\n"
    seen.is_ready = False
    file.follow(seen)
    file.follow(seen)
    assert not path.exists()


async def test_a_blocked_loop_is_not_live_and_says_so_from_another_thread(
    pgq: PgQueue[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.worker.outlook.LIVE_SECONDS", 0.5)

    @pgq.task
    async def note() -> None:
        pass

    async with pgq.worker() as worker:
        with HealthServer("127.0.0.1:0", worker.outlook) as server:
            answers = [await to_thread.run_sync(lambda: get(server.address, "/live")[0])]

            def wait_for_the_other_answer() -> None:
                while answers[-1] == 200:
                    answers.append(get(server.address, "/live")[0])

            blocked = threading.Thread(target=wait_for_the_other_answer)
            blocked.start()
            blocked.join(PATIENCE)  # blocks the event loop
            assert (answers[0], answers[-1]) == (200, 503)


async def test_a_worker_without_its_lease_is_not_ready_but_sound(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def note() -> None:
        pass

    async with timed(pgq.worker(), beat=60.0) as worker:
        assert worker.outlook.is_ready
        worker.state.lease_until = 0.0
        assert (worker.outlook.is_ready, worker.outlook.is_sound) == (False, True)
        assert worker.outlook.summary().startswith("database away: 0 running")


async def test_a_worker_one_of_whose_services_ended_is_not_sound(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def note() -> None:
        pass

    async with pgq.worker() as worker:
        assert worker.outlook.is_sound
        await worker.outlook.services[2].cancel()
        assert not worker.outlook.is_sound


async def test_a_follower_that_fails_is_told_of_once_and_asked_again(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def note() -> None:
        pass

    class Failing:
        def __init__(self) -> None:
            self.asked = 0
            self.often = asyncio.Event()

        def follow(self, seen: Observed) -> None:
            self.asked += 1
            if self.asked > 3:
                self.often.set()
            raise OSError("no")

    heard, failing = Heard(pgq.events), Failing()
    worker = pgq.worker()
    worker.follow_with(failing, 0.01)
    async with asyncio.timeout(PATIENCE), worker:
        await failing.often.wait()
    assert [fact["service"] for fact in heard.named("service.failed")] == ["Failing"]
