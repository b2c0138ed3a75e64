"""What tests of pages share: a strict reader, and a browser that tells what it did."""

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest


def cards_of(result: Any) -> "Page":
    """What a notebook shows of a result: it runs and loads nothing, and is the same each time."""
    text = result._repr_html_()
    page = Page(text)
    assert text == result._repr_html_()
    assert page.tags.count("svg") <= 1
    assert not {"script", "img", "iframe", "link", "html", "body"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert "url(http" not in text
    assert "#010101" not in text  # every stand-in became a colour
    return page


VOID = {"meta", "br", "path", "use", "rect", "line", "circle"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<script>alert(1)</script>: $\\frac$ \"'&"


class Page(HTMLParser):
    """Reads a page, complains about what is not well formed, and finds the rows of scores."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.rows: dict[str, str] = {}
        self.score = ""
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [v or "" for k, v in attrs if k == "id"]
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag == "tr":
            self.score = ""
        if "data-score" in found:
            self.score = found["data-score"] or ""
            self.rows.setdefault(self.score, "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            return
        self.text += data
        if self.score:
            self.rows[self.score] += f"{data} "


def browse(page: Path) -> tuple[str, list[str], list[str]]:
    """The page after its scripts, what the console said, and the addresses that were asked for."""
    if CHROMIUM is None:
        assert not os.environ.get("NEED_BROWSER"), "chromium is not installed"
        pytest.skip("chromium is not installed: apt-get install chromium")
    log = page.with_suffix(".net.json")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=3000",
            f"--user-data-dir={page.with_suffix('.profile')}",
            f"--log-net-log={log}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    asked = {
        event["params"]["url"]
        for event in json.loads(log.read_text())["events"]
        # What the browser wants for itself, such as updates, no page has asked for.
        if event.get("params", {}).get("initiator", "not an origin") != "not an origin"
    }
    return done.stdout, console, sorted(url for url in asked if not url.startswith("file:"))
