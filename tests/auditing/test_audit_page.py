"""The page of an audit: whole, safe, and with every section of the audit."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import Page, cards_of

from synthgen import audit, compare_audits
from synthgen.auditing.audit import Audit
from synthgen.auditing.audit_page import audit_page

HOSTILE = "<img src=x onerror=y>"


@pytest.fixture(scope="module")
def found() -> Audit:
    rng = np.random.default_rng(0)
    ill = np.arange(300) < 30
    frame = pd.DataFrame(
        {
            "dose": rng.normal(ill, 1),
            HOSTILE: np.where(ill, "<script>alert(1)</script>", "\x00no"),
            "site": 7,
            "id": np.arange(300) + 1000,
        }
    )
    return audit(frame, np.where(ill, "<b>ill", "well"))


def test_every_section_is_there_and_nothing_is_run(found: Audit, tmp_path: Path):
    drift = compare_audits(found.to_json(), found)
    found.to_html(tmp_path / "audit.html", source="a&b.csv", drift=drift)
    content = (tmp_path / "audit.html").read_text()
    page = Page(content)
    text = " ".join(page.text.split())
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not page.links
    assert "url(http" not in content
    assert page.tags.count("h2") == 6
    assert page.tags.count("table") == page.tags.count("caption") == 5
    assert "30 rows of '<b>ill'" in text
    assert "a&b.csv" in text
    assert HOSTILE in text
    for message in (f.message for f in found.findings):
        assert message.replace("\x00", "�") in text
    for remedy in found.remedies:
        assert remedy["why"] in text
    assert "A model that always predicts “not <b>ill” is right in 90 % of the rows" in text
    assert "300 rows then, 300 now; differences: 0" in text
    assert "class <b>ill10 %10 %-" in text
    assert "none established" in text
    estimate = found.columns[0]["average_precision"]
    assert f"dosenumeric{estimate['value']:.3f}{estimate['low']:.3f} to" in text
    assert "guessing reaches 0.100" in text
    assert "Since the earlier delivery" not in audit_page(found)
    assert not re.search(r"\b(nan|None)\b", text)


def test_a_table_without_a_model():
    frame = pd.DataFrame({"dose": [1.0, 2.0, 3.0]})
    assert "No model could be judged" in audit_page(audit(frame, ["a", "a", "b"]))


def test_a_notebook_shows_the_class_and_the_findings(found: Audit):
    page = cards_of(found)
    text = " ".join(page.text.split())
    assert "30 rows of '<b>ill'" in text
    assert found.findings[0].message.replace("\x00", "�") in text
    assert page.tags.count("svg") == 1
    cards_of(audit(pd.DataFrame({"dose": [1.0, 2.0, 3.0]}), ["a", "a", "b"]))


def test_the_page_says_that_it_can_show_single_rows(found: Audit):
    text = " ".join(Page(audit_page(found)).text.split())
    assert "share it only with people who may see the table" in text
