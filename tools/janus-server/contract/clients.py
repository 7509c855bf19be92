"""The official OpenAI client for Python against a server: `python3 clients.py http://127.0.0.1:8080`."""

import base64
import sys

import openai

url = sys.argv[1] + "/v1"
client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
ask = {"model": "janus-demo", "messages": [{"role": "user", "content": "is there a red circle?"}]}
draw = {"model": "janus-demo", "prompt": "a red circle", "extra_body": {"seed": 7}}

# The model.
assert [model.id for model in client.models.list()] == ["janus-demo"]
assert client.models.retrieve("janus-demo").owned_by == "janus"

# Drawing, whole and on its way.
whole = client.images.generate(**draw)
picture = whole.data[0].b64_json
assert base64.b64decode(picture).startswith(b"\x89PNG")
assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
events = list(client.images.generate(**draw, stream=True, partial_images=2))
assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + [
    "image_generation.completed"
]
assert [event.partial_image_index for event in events[:2]] == [0, 1]
assert events[2].b64_json == picture
assert len(client.images.generate(**draw, n=2).data) == 2

# Answering, whole and in pieces, about pictures or not.
answer = client.chat.completions.create(**ask, max_tokens=16)
assert answer.choices[0].finish_reason in ("stop", "length")
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
pieces = list(
    client.chat.completions.create(
        **ask, max_tokens=16, stream=True, stream_options={"include_usage": True}
    )
)
text = "".join(choice.delta.content or "" for piece in pieces for choice in piece.choices)
assert text == answer.choices[0].message.content
assert pieces[-1].usage == answer.usage
content = [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
    {"type": "text", "text": "what is in the picture?"},
]
seen = client.chat.completions.create(
    model="janus-demo", messages=[{"role": "user", "content": content}], max_tokens=32
)
assert seen.usage.prompt_tokens > answer.usage.prompt_tokens and seen.choices[0].message.content
# A client sends back the message that it got.
messages = [*ask["messages"], answer.choices[0].message, {"role": "user", "content": "sure?"}]
assert client.chat.completions.create(model="janus-demo", messages=messages, max_tokens=4)

# What it sees in pictures: the client asks for base64 by itself, and reads it.
url = f"data:image/png;base64,{picture}"
seen = client.embeddings.create(model="janus-demo", input=[url])
plain = client.embeddings.create(model="janus-demo", input=[url, url], encoding_format="float")
assert abs(sum(value * value for value in seen.data[0].embedding) - 1) < 1e-3
assert len(plain.data) == 2 and plain.usage.prompt_tokens == 2 * seen.usage.prompt_tokens
assert all(abs(a - b) < 1e-6 for a, b in zip(seen.data[0].embedding, plain.data[1].embedding))


def expect(kind: type, work) -> openai.APIStatusError:
    try:
        work()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


# Errors have the classes that the client knows.
error = expect(openai.BadRequestError, lambda: client.images.generate(**draw, size="1024x1024"))
assert (error.param, error.type) == ("size", "invalid_request_error"), error.body
error = expect(openai.BadRequestError, lambda: client.chat.completions.create(**ask, logit_bias={"1": 1}))
assert error.param == "logit_bias"
expect(openai.NotFoundError, lambda: client.chat.completions.create(**ask | {"model": "gpt"}))

print("the Python client is content")
