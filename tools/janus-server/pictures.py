"""Pictures one after the other and together, and an answer that is asked for meanwhile.

    janus serve MODEL --listen 127.0.0.1:8080 &
    python3 tools/janus-server/pictures.py http://127.0.0.1:8080 --together 4

For models that take a minute for a picture, where `load.py` would take hours. Only Python's own library is
used.
"""

import argparse
import http.client
import json
import threading
import time
import urllib.parse


def connect(url: str) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=3600)


def post(url: str, path: str, body: dict) -> http.client.HTTPResponse:
    connection = connect(url)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    return response


def metric(url: str, name: str) -> float:
    connection = connect(url)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.split()[0] == name))


def draw(url: str, seed: int) -> str:
    body = {"prompt": "a red fox in fresh snow", "seed": seed}
    return json.loads(post(url, "/v1/images/generations", body).read())["data"][0]["b64_json"]


def first_token(url: str) -> dict:
    """Seconds until an answer of one token is there, and the model's steps meanwhile: the one that was under
    way, that which ran the prompt's last position, and perhaps one before the response was read."""
    message = {"role": "user", "content": "is there a fox?"}
    body = {"messages": [message], "max_tokens": 1, "temperature": 1, "seed": 1}
    before, begun = metric(url, "janus_step_seconds_count"), time.monotonic()
    answer = json.loads(post(url, "/v1/chat/completions", body).read())
    seconds = time.monotonic() - begun
    steps = metric(url, "janus_step_seconds_count") - before
    prompt = answer["usage"]["prompt_tokens"]
    return {"prompt_tokens": prompt, "seconds": round(seconds, 2), "steps": int(steps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("url")
    parser.add_argument("--together", type=int, default=4)
    arguments = parser.parse_args()
    url, count = arguments.url, arguments.together
    draw(url, 0)  # what is opened with the first picture is open then

    begun = time.monotonic()
    alone = draw(url, 1)
    seconds_alone = time.monotonic() - begun
    idle = first_token(url)

    pictures = [""] * count

    def run(i: int) -> None:
        pictures[i] = draw(url, i + 1)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(seconds_alone / 4)
    busy = first_token(url)
    for thread in threads:
        thread.join()
    seconds_together = time.monotonic() - begun
    result = {
        "seconds_alone": round(seconds_alone, 1),
        "seconds_together": round(seconds_together, 1),
        "times_as_many": round(count * seconds_alone / seconds_together, 2),
        "first_token_idle": idle,
        "first_token_while_drawing": busy,
        "same_picture": pictures[0] == alone,
    }
    print(json.dumps(result, indent=1))
    if not result["same_picture"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
