"""The page in Chromium: `python3 page.py http://127.0.0.1:8080 DIRECTORY`; screenshots go there."""

import pathlib
import sys

from browser import launched
from playwright.sync_api import expect, sync_playwright

url, out = sys.argv[1], pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)

with sync_playwright() as playwright:
    browser = launched(playwright)
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    problems, elsewhere = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((url, "data:", "blob:")) else None)

    # Open: it says which model it is, and that it is the demo.
    page.goto(url)
    expect(page.locator("#model")).to_contain_text("janus-demo")
    expect(page.locator("#demo")).to_be_visible()

    # Draw, and watch: more than one picture is shown before the last.
    page.evaluate(
        """() => { window.shown = new Set();
        new MutationObserver(() => document.querySelectorAll('#easel img').forEach((i) => window.shown.add(i.src)))
          .observe(document.querySelector('#easel'), { subtree: true, childList: true, attributes: true }); }"""
    )
    page.fill("#prompt", "a red circle")
    page.fill("#seed", "7")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#gallery li")).to_have_count(1, timeout=60_000)
    expect(page.locator("#draw-status")).to_contain_text("Done")
    assert page.evaluate("window.shown.size") > 2
    page.screenshot(path=out / "drawn.png")

    # Ask about it.
    page.get_by_role("button", name="Ask about it").click()
    page.fill("#question", "what is in the picture?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#conversation li.assistant")).not_to_have_text("Janus: ", timeout=60_000)
    expect(page.locator("#chat button[type=submit]")).to_be_enabled(timeout=60_000)
    page.screenshot(path=out / "asked.png")

    # Stop in the middle: the response is held back until the button was pressed.
    page.route("**/v1/images/generations", lambda route: None)
    page.get_by_role("button", name="Draw", exact=True).click()
    page.locator("#draw-stop").click()
    expect(page.locator("#draw-status")).to_have_text("Stopped.")
    page.unroute("**/v1/images/generations")

    # An error, in words.
    page.fill("#prompt", "x" * 40_000)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#draw-error")).to_contain_text("32768 bytes")
    page.fill("#prompt", "two blue squares")
    page.screenshot(path=out / "error.png")
    assert all("400" in problem for problem in problems), problems

    # The gallery is there after a reload, and its settings can be used again.
    page.reload()
    expect(page.locator("#gallery li")).to_have_count(1)
    page.get_by_role("button", name="Use settings").click()
    expect(page.locator("#seed")).to_have_value("7")
    expect(page.locator("#prompt")).to_have_value("a red circle")

    # On a phone, in the dark: nothing is wider than the screen.
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.screenshot(path=out / "phone.png", full_page=True)
    # Every field has a name that is read out.
    unnamed = "[...document.querySelectorAll('input, textarea')].filter((e) => !e.labels.length && !e.ariaLabel)"
    assert page.evaluate(unnamed + ".length") == 0

    assert not elsewhere, elsewhere
    browser.close()

print("the page works; screenshots are in", out)
