"""Many clients in one thread, for `load.py`.

Who measures on the server's own machine should take little of it: requests are made once, responses are read
as they come, and nobody waits in a thread.
"""

import json
import random
import selectors
import socket
import statistics
import time
import urllib.parse

from load import answer


class Client:
    """A connection that sends its next request once the last one is answered."""

    def __init__(self, address: tuple[str, int], number: int):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.place, self.received, self.begun = number, bytearray(), 0.0

    def send(self, request: bytes) -> None:
        self.received.clear()
        self.begun = time.monotonic()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes, bytes] | None:
        """Status, head and body of the response, if it is there."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.received += piece
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return None
        return int(head.split(b" ", 2)[1]), bytes(head).lower(), bytes(body)


class Crowd:
    """Clients that send the same requests."""

    def __init__(self, url: str, key: str | None, work: list[tuple[str, dict]], expected: list):
        parts = urllib.parse.urlsplit(url)
        self.address = (parts.hostname, parts.port or 80)
        self.sent = [raw(parts.netloc, key, path, body) for path, body in work]
        self.expected = expected
        # Seconds that answers took, and those that were told to come again.
        self.times: list[float] = []
        self.refused: list[float] = []
        self.errors: list[str] = []
        self.crossed: list[int] = []

    def ask(self, clients: int, seconds: float) -> dict:
        """What clients get that send the next request after each answer."""
        selector = selectors.DefaultSelector()
        begun = time.monotonic()
        for number in range(clients):
            self.send(Client(self.address, number), selector)
        while selector.get_map():
            for client in self.answered(selector, None):
                client.place += clients + 1
                if time.monotonic() < begun + seconds:
                    self.send(client, selector)
        return self.told(time.monotonic() - begun)

    def storm(self, rate: float, seconds: float) -> dict:
        """What clients get that come in Poisson's rhythm, so many a second, whether there is room or not."""
        selector = selectors.DefaultSelector()
        begun = due = time.monotonic()
        sent = 0
        while due < begun + seconds:
            while due <= time.monotonic():
                self.send(Client(self.address, sent), selector)
                sent += 1
                due += random.expovariate(rate)
            for client in self.answered(selector, max(0.0, due - time.monotonic())):
                client.socket.close()
        ended = time.monotonic()
        while selector.get_map():
            for client in self.answered(selector, None):
                client.socket.close()
        told = self.told(time.monotonic() - begun)
        return told | {"offered_per_second": sent / (ended - begun), "ended": ended}

    def send(self, client: Client, selector: selectors.BaseSelector) -> None:
        client.send(self.sent[client.place % len(self.sent)])
        selector.register(client.socket, selectors.EVENT_READ, client)

    def answered(self, selector: selectors.BaseSelector, wait: float | None) -> list[Client]:
        """Clients that have their answers; those that lost them are counted and gone."""
        done = []
        for key, _ in selector.select(wait):
            client = key.data
            try:
                response = client.receive()
            except (OSError, ValueError) as problem:
                self.errors.append(repr(problem))
                selector.unregister(client.socket)
                continue
            if response is not None:
                selector.unregister(client.socket)
                self.judge(client, *response)
                done.append(client)
        return done

    def judge(self, client: Client, status: int, head: bytes, body: bytes) -> None:
        spent = time.monotonic() - client.begun
        if status == 429 and b"retry-after: " in head:
            self.refused.append(spent)
        elif status != 200:
            self.errors.append(f"status {status}: {body[:300]!r}")
        else:
            self.times.append(spent)
            place = client.place % len(self.sent)
            if answer(json.loads(body)) != self.expected[place]:
                self.crossed.append(place)

    def told(self, spent: float) -> dict:
        times = sorted(self.times)
        return {
            "requests": len(times),
            "per_second": round(len(times) / spent, 2),
            "median_s": round(statistics.median(times), 3),
            "p99_s": round(times[int(0.99 * (len(times) - 1))], 3),
            "errors": len(self.errors) + len(self.refused),
            "other_answers": len(self.crossed),
            "first_errors": self.errors[:3],
        }


def raw(host: str, key: str | None, path: str, body: dict) -> bytes:
    """A request as it is sent."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    if key:
        head += f"authorization: Bearer {key}\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content
