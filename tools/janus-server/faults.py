"""How a server does where more is asked of it than it can, where it is stopped, and where clients leave or
dawdle: `python3 tools/janus-server/load.py faults target/release/janus [MODEL]` prints a table.

Every part starts a server of its own. Only Python's own library is used; memory is read from /proc.
"""

import argparse
import atexit
import contextlib
import json
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse

from crowd import Crowd
from load import Client, one_after_the_other, requests

QUESTION = {"role": "user", "content": "is there a red circle?"}


class Serving:
    """A server of its own for a part of the measurement."""

    def __init__(self, arguments, *settings: str):
        model = [arguments.model] if arguments.model else []
        command = [arguments.janus, "serve", *model, "--listen", "127.0.0.1:0", *settings]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        for line in self.process.stderr:
            if found := re.search(r"answers at (http://\S+)", line):
                self.url = found[1]
                break
        self.said: list[str] = []
        self.reader = threading.Thread(
            target=lambda: self.said.extend(self.process.stderr), daemon=True
        )
        self.reader.start()

    def mebibytes(self) -> float:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def metric(self, name: str) -> float:
        text = Client(self.url, None).get("/metrics").decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])

    def end(self) -> int:
        """Stops it; gives its status. Nothing broke inside it."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait()
        self.reader.join()
        assert not any("panicked" in line for line in self.said), self.said
        return status


def send(url: str, path: str, body: dict) -> tuple[int, dict, dict]:
    """Status, headers and answer of a request on a connection of its own; status 0 where none came."""
    try:
        connection = Client(url, None).connection
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), json.loads(response.read())
    except (OSError, ValueError) as problem:
        return 0, {}, {"problem": repr(problem)}


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[int(part * (len(values) - 1))] if values else float("nan")


def milliseconds(values: list[float]) -> str:
    parts = [quantile(values, part) for part in (0.5, 0.99, 1.0)]
    return ", ".join(f"{1000 * value:.0f}" for value in parts) + " ms"


def overload(arguments) -> None:
    """Ten times the capacity, whether there is room or not, in Poisson's rhythm."""
    server = Serving(arguments, "--max-requests", str(arguments.places))
    # Four of each, so that the clients need little of the machine beside the server.
    work = [(path, body | {"n": 4}) for path, body in requests(("ask", "draw"), 24, server.url, None)]
    expected, _ = one_after_the_other(server.url, None, work, 0)
    # What it can: as many clients as it has places, each with the next request after its answer.
    with measured(server) as usual:
        full = Crowd(server.url, None, work, expected).ask(arguments.places, arguments.seconds / 2)
    alone = statistics.median(timed(server.url) for _ in range(15))

    crowd = Crowd(server.url, None, work, expected)
    with measured(server) as memory:
        told = crowd.storm(10 * full["per_second"], arguments.seconds)
        while timed(server.url) > 2 * alone:
            pass
        recovered = time.monotonic() - told["ended"]
    done, refused, capacity = crowd.times, crowd.refused, full["per_second"]
    assert not crowd.errors and not crowd.crossed, (crowd.errors[:3], crowd.crossed[:3])
    row("capacity: requests a second, with as many clients as places", f"{capacity:.1f}")
    row("offered a second, for so long", f"{told['offered_per_second']:.1f}, {arguments.seconds:.0f} s")
    row("finished, each as alone; told 429 with `Retry-After`; anything else", f"{len(done)}; {len(refused)}; 0")
    row("finished a second", f"{told['per_second']:.1f}")
    row("time of a 429: median, 99th percentile, most", milliseconds(refused))
    row("time of what is finished: median, 99th percentile, most", milliseconds(done))
    row("most memory at capacity, under overload", f"{max(usual):.0f}, {max(memory):.0f} MiB")
    row("from its end until a question takes at most twice its idle time again", f"{recovered:.1f} s")
    assert server.end() == 0


@contextlib.contextmanager
def measured(server: Serving):
    """What memory the server has meanwhile, several times a second."""
    samples, stop = [server.mebibytes()], threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            samples.append(server.mebibytes())

    looking = threading.Thread(target=look)
    looking.start()
    yield samples
    stop.set()
    looking.join()


def timed(url: str) -> float:
    """Seconds that a short question takes; a 429 is no answer."""
    begun = time.monotonic()
    while send(url, "/v1/chat/completions", {"messages": [QUESTION], "max_tokens": 4})[0] != 200:
        time.sleep(0.05)
    return time.monotonic() - begun


def stopped(arguments) -> None:
    """SIGTERM while 64 clients ask, with and without time to finish."""
    for drain in (30, 1):
        finished = said = lost = 0
        exits, statuses = [], set()
        for round in range(arguments.rounds):
            server = Serving(arguments, "--drain-seconds", str(drain))
            work, answers, stop = requests(("ask", "draw"), 24, server.url, None), [], threading.Event()

            def ask(i: int) -> None:
                while not stop.is_set():
                    begun = time.monotonic()
                    answers.append((begun, send(server.url, *work[i % len(work)])[0]))
                    i += 7

            clients = [threading.Thread(target=ask, args=(i,)) for i in range(64)]
            for client in clients:
                client.start()
            time.sleep(3 + round / 4)
            asked = time.monotonic()
            stop.set()
            statuses.add(server.end())
            exits.append(time.monotonic() - asked)
            for client in clients:
                client.join()
            finished += sum(status == 200 for _, status in answers)
            said += sum(status == 503 for _, status in answers)
            # What was sent as it stopped may find no server any more; what was sent before may not.
            lost += sum(status not in (200, 503) for begun, status in answers if begun < asked - 0.1)
        row(
            f"SIGTERM, `drain_seconds` {drain}, {arguments.rounds} times: finished; told 503; lost",
            f"{finished}; {said}; {lost}",
        )
        row(f"exit after, at most; statuses", f"{max(exits):.1f} s; {sorted(statuses)}")
        assert lost == 0


def left(arguments) -> None:
    """Clients that leave in the middle of 32 answers: steps and time until their rows are free."""
    server = Serving(arguments, "--max-n", "32", "--max-rows", "32")
    parts = urllib.parse.urlsplit(server.url)
    body = {"messages": [QUESTION], "temperature": 2, "n": 32, "max_tokens": 200, "stream": True}
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    steps, times = [], []
    for i in range(arguments.leavers):
        text = json.dumps(body | {"seed": i})
        client = socket.create_connection((parts.hostname, parts.port))
        client.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        told = b""
        while b'"content":"' not in told.replace(b'"content":""', b""):
            told += client.recv(65536)
        cancelled = server.metric("janus_cancelled_total")
        step, begun = server.metric("janus_step_seconds_count"), time.monotonic()
        client.close()
        while server.metric("janus_requests_under_way") + server.metric("janus_batch_rows_used") > 0:
            pass
        if server.metric("janus_cancelled_total") == cancelled:
            continue  # All its answers were complete before it left.
        times.append(time.monotonic() - begun)
        steps.append(server.metric("janus_step_seconds_count") - step)
    row(
        f"{len(steps)} clients leave in the middle of 32 answers: steps until rows are free, median and most",
        f"{statistics.median(steps):.0f}, {max(steps):.0f}",
    )
    row("the same in time: median, 99th percentile, most", milliseconds(times))
    assert server.end() == 0


def dawdling(arguments) -> None:
    """Clients that send a byte every few seconds, while others ask."""
    server = Serving(arguments)
    parts = urllib.parse.urlsplit(server.url)
    idle = [timed(server.url) for _ in range(60)]
    crowd = [socket.create_connection((parts.hostname, parts.port)) for _ in range(arguments.slow)]
    begun, busy, open_ones = time.monotonic(), [], crowd
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for i, client in enumerate(crowd):
        client.setblocking(False)
        client.sendall(head + (b"Content-Length: 1000\r\n\r\n" if i % 2 else b"X-A: "))
    while open_ones and time.monotonic() < begun + 60:
        busy.append(timed(server.url))
        open_ones = [client for client in open_ones if is_open(client)]
    row(f"{arguments.slow} slow clients, all closed after", f"{time.monotonic() - begun:.0f} s")
    row("a question without them: median, 99th percentile, most", milliseconds(idle))
    row("a question meanwhile: median, 99th percentile, most", milliseconds(busy))
    assert not open_ones
    assert server.end() == 0


def is_open(client: socket.socket) -> bool:
    """Sends a byte; whether the other end is still there."""
    try:
        client.send(b"a")
        return client.recv(4096) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def row(what: str, value: str) -> None:
    print(f"| {what} | {value} |", flush=True)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("janus", help="the program")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--places", type=int, default=32, help="max_requests of the overloaded server")
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--rounds", type=int, default=5, help="servers that are stopped, of each kind")
    parser.add_argument("--leavers", type=int, default=100, help="clients that leave")
    parser.add_argument("--slow", type=int, default=500, help="clients that dawdle")
    parser.add_argument("--only", choices=["overload", "stopped", "left", "dawdling"])
    arguments = parser.parse_args(words)
    print("| | |\n|---|---|")
    for part in (overload, stopped, left, dawdling):
        if arguments.only in (None, part.__name__):
            part(arguments)
