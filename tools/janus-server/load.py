"""Clients in a closed loop against a server: throughput, times, and whether answers are those that the
same requests get alone.

    janus serve &
    python3 tools/janus-server/load.py http://127.0.0.1:8080 --clients 64 --seconds 300

`python3 tools/janus-server/load.py faults target/release/janus` starts servers itself and tells how they do
where more is asked of them than they can, where they are stopped, and where clients leave or dawdle
(`faults.py`).

First every request of a list is sent by itself, one after the other, for as long as `--alone` says; then
all clients send requests of the same list, each waiting for its answer. `--mix` says what they ask for, in
equal shares: `ask` is a question of words, `describe` a caption of a picture that the server drew, `draw` a
picture. Only Python's own library is used.
"""

import argparse
import http.client
import json
import sys
import time
import urllib.parse


MIX = ("ask", "describe", "draw")
PICTURES = 12


def requests(mix: tuple[str, ...], count: int, url: str, key: str | None) -> list[tuple[str, dict]]:
    """What is asked for, each a little different."""
    client = Client(url, key)
    pictures = [drawn(client, i) for i in range(PICTURES)] if "describe" in mix else []
    made = []
    for i in range(count):
        what = mix[i % len(mix)]
        if what == "draw":
            made.append(("/v1/images/generations", {"prompt": f"a {thing(i)}", "seed": i}))
            continue
        content = f"is there a {thing(i)}?"
        if what == "describe":
            picture = {"type": "image_url", "image_url": {"url": pictures[i % PICTURES]}}
            content = [picture, {"type": "text", "text": "describe the picture."}]
        message = {"role": "user", "content": content}
        body = {"messages": [message], "temperature": 1.0, "seed": i, "max_tokens": 48}
        made.append(("/v1/chat/completions", body))
    return made


def thing(i: int) -> str:
    return f"{('red', 'blue')[i // 2 % 2]} {('circle', 'square')[i // 4 % 2]}"


def drawn(client: "Client", seed: int) -> str:
    prompt = f"a {thing(seed)} and a green diamond"
    status, response = client.send("/v1/images/generations", {"prompt": prompt, "seed": seed})
    assert status == 200, (status, response)
    return "data:image/png;base64," + response["data"][0]["b64_json"]


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


def main() -> None:
    if sys.argv[1:2] == ["faults"]:
        import faults

        return faults.main(sys.argv[2:])
    from crowd import Crowd

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--alone", type=float, default=30, help="seconds of one after the other")
    parser.add_argument("--mix", default=",".join(MIX), help="what is asked for, in equal shares")
    parser.add_argument("--kinds", type=int, default=96, help="different requests")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    mix = tuple(arguments.mix.split(","))
    if not set(mix) <= set(MIX):
        parser.error(f"--mix takes {', '.join(MIX)}")
    work = requests(mix, arguments.kinds, arguments.url, arguments.key)
    expected, alone = one_after_the_other(arguments.url, arguments.key, work, arguments.alone)
    crowd = Crowd(arguments.url, arguments.key, work, expected)
    result = crowd.ask(arguments.clients, arguments.seconds)
    result["alone_per_second"] = round(alone, 2)
    result["times_as_many"] = round(result["per_second"] / alone, 2)
    print(json.dumps(result, indent=1))
    if result["errors"] or result["other_answers"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
