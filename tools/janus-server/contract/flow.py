"""A model that draws by rectified flow, by the official OpenAI client for Python and on the page:
`python3 flow.py http://127.0.0.1:8080 DIRECTORY`; a screenshot goes there."""

import base64
import pathlib
import sys

import openai
from browser import launched
from playwright.sync_api import expect, sync_playwright

url, out = sys.argv[1], pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
draw = {"model": "janus-flow", "prompt": "a red circle", "extra_body": {"seed": 7, "steps": 12, "solver": "ab2"}}

whole = client.images.generate(**draw)
assert base64.b64decode(whole.data[0].b64_json).startswith(b"\x89PNG")
assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
events = list(client.images.generate(**draw, stream=True, partial_images=2))
partial = "image_generation.partial_image"
assert [event.type for event in events] == [partial, partial, "image_generation.completed"]
assert events[2].b64_json == whole.data[0].b64_json
ask = [{"role": "user", "content": "is there a red circle?"}]
assert client.chat.completions.create(model="janus-flow", messages=ask, max_tokens=8).choices[0].message.content
try:
    client.images.generate(model="janus-flow", prompt="x", extra_body={"temperature": 1})
    raise AssertionError("a flow has no temperature")
except openai.BadRequestError as error:
    assert error.param == "temperature"

with sync_playwright() as playwright:
    browser = launched(playwright)
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(url)
    # It asks for steps, and not for a temperature.
    expect(page.locator("#steps")).to_be_visible()
    expect(page.locator("#steps")).to_have_value("12")
    expect(page.locator("#draw-temperature")).to_be_hidden()
    page.fill("#prompt", "a red circle")
    page.fill("#seed", "7")
    page.fill("#steps", "8")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#gallery li")).to_have_count(1, timeout=60_000)
    expect(page.locator("#draw-status")).to_contain_text("Done")
    page.fill("#steps", "30")
    page.get_by_role("button", name="Use settings").click()
    expect(page.locator("#steps")).to_have_value("8")
    page.screenshot(path=out / "flow.png")
    assert not problems, problems
    browser.close()

print("the model that draws by rectified flow is served")
