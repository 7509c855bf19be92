"""Clients in a closed loop against a server: throughput, times, and whether answers are those that the
same requests get alone.

    janus serve &
    python3 tools/janus-server/load.py http://127.0.0.1:8080 --clients 64 --seconds 300

`python3 tools/janus-server/load.py faults target/release/janus` starts servers itself and tells how they do
where more is asked of them than they can, where they are stopped, and where clients leave or dawdle
(`faults.py`).

First every request of a list is sent by itself, one after the other, for as long as `--alone` says; then
all clients send requests of the same list, each waiting for its answer. Only Python's own library is used.
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
import urllib.parse


def requests(kinds: int) -> list[tuple[str, dict]]:
    """Questions and drawings in equal numbers, all different."""
    made = []
    for i in range(kinds):
        colour, shape = ("red", "blue")[i % 2], ("circle", "square")[i // 2 % 2]
        if i % 4 < 2:
            content = f"is there a {colour} {shape}?"
            body = {"messages": [{"role": "user", "content": content}], "temperature": 1.0}
            made.append(("/v1/chat/completions", body | {"seed": i, "max_tokens": 48}))
        else:
            made.append(("/v1/images/generations", {"prompt": f"a {colour} {shape}", "seed": i}))
    return made


def answer(response: dict) -> object:
    """What of a response has to be the same every time."""
    if "data" in response:
        return [picture["b64_json"] for picture in response["data"]]
    return [choice["message"]["content"] for choice in response["choices"]]


class Client:
    def __init__(self, url: str, key: str | None):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 80
        self.headers = {"content-type": "application/json"}
        if key:
            self.headers["authorization"] = f"Bearer {key}"
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=600)

    def get(self, path: str) -> bytes:
        self.connection.request("GET", path)
        return self.connection.getresponse().read()

    def send(self, path: str, body: dict) -> tuple[int, dict]:
        self.connection.request("POST", path, json.dumps(body), self.headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


def one_after_the_other(url: str, key: str | None, work: list, seconds: float) -> tuple[list, float]:
    """The answer to each request alone, and how many a second there are."""
    client, expected, sent = Client(url, key), [None] * len(work), 0
    begun = time.monotonic()
    while sent < len(work) or time.monotonic() - begun < seconds:
        status, response = client.send(*work[sent % len(work)])
        assert status == 200, (status, response)
        expected[sent % len(work)] = answer(response)
        sent += 1
    return expected, sent / (time.monotonic() - begun)


def together(arguments, work: list, expected: list) -> dict:
    """What many clients get at a time."""
    times, errors, crossed = [], [], []
    end = time.monotonic() + arguments.seconds

    def run(number: int) -> None:
        client, i = Client(arguments.url, arguments.key), number
        while time.monotonic() < end:
            begun = time.monotonic()
            try:
                status, response = client.send(*work[i % len(work)])
            except Exception as problem:  # a lost answer, whatever the reason
                errors.append(repr(problem))
                return
            times.append(time.monotonic() - begun)
            if status != 200:
                errors.append(f"status {status}: {response}")
            elif answer(response) != expected[i % len(work)]:
                crossed.append(i % len(work))
            i += arguments.clients + 1

    clients = [threading.Thread(target=run, args=(i,)) for i in range(arguments.clients)]
    begun = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    spent = time.monotonic() - begun
    times.sort()
    return {
        "requests": len(times),
        "per_second": round(len(times) / spent, 2),
        "median_s": round(statistics.median(times), 3),
        "p99_s": round(times[int(0.99 * (len(times) - 1))], 3),
        "errors": len(errors),
        "other_answers": len(crossed),
        "first_errors": errors[:3],
    }


def main() -> None:
    if sys.argv[1:2] == ["faults"]:
        import faults

        return faults.main(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--alone", type=float, default=30, help="seconds of one after the other")
    parser.add_argument("--kinds", type=int, default=96, help="different requests")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    work = requests(arguments.kinds)
    expected, alone = one_after_the_other(arguments.url, arguments.key, work, arguments.alone)
    result = together(arguments, work, expected)
    result["alone_per_second"] = round(alone, 2)
    result["times_as_many"] = round(result["per_second"] / alone, 2)
    print(json.dumps(result, indent=1))
    if result["errors"] or result["other_answers"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
