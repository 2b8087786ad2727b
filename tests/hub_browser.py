"""The system's Chromium, driven by playwright; where there is none it is installed on CI, else tests are skipped."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ON_CI = os.environ.get("CI") == "true"
MILLISECONDS = 120_000  # for anything: the machine may be busy
SIZE = {"width": 1400, "height": 950}


@contextmanager
def browser() -> Iterator[Browser]:
    path = find() or (install() if ON_CI and os.geteuid() == 0 else None)
    if path is None and ON_CI:
        pytest.fail("no Chromium, and none could be installed; on CI the journey through the browser must run")
    if path is None:
        pytest.skip(
            "no Chromium here (Debian, Ubuntu: apt install chromium): the journey through the browser is not made"
        )
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own sandbox refuses to run for root
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


def find() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def install() -> str | None:
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run(
            ["apt-get", "-q", *command], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False
        )
    return find()


def log_in(chromium: Browser, address: str, name: str, password: str) -> Page:
    """A page of its own, as in a browser of one's own, after the log-in."""
    page = chromium.new_context(viewport=SIZE).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(MILLISECONDS)
    page.goto(address)
    page.fill("#username_input", name)
    page.fill("#password_input", password)
    page.click("#login_submit")
    return page
