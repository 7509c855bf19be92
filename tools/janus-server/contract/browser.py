"""Chromium as the tests of the page use it."""

import shutil

from playwright.sync_api import Browser, Playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launched(playwright: Playwright) -> Browser:
    """The system's Chromium. Playwright gives it a new profile, empty, and deletes it afterwards."""
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"), headless=True, args=FLAGS
    )
