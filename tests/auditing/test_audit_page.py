"""The page of an audit: whole, safe, and with every section of the audit."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import Page, cards_of

from synthgen import audit, compare_audits
from synthgen.auditing.audit import Audit
from synthgen.auditing.audit_figures import audit_figures
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
    assert all(link.startswith("#") for link in page.links)  # within a figure
    assert "url(http" not in content
    assert page.tags.count("h2") == 6 + 3 + 3  # sections, figures, cards
    assert page.tags.count("table") == page.tags.count("caption") == 5
    assert "“<b>ill” is 10 % of 300 rows" in text
    assert "'a&b.csv' --target" in text
    assert HOSTILE in text
    for message in (f.message for f in found.findings):
        assert message.replace("\x00", "�") in text
    for remedy in found.remedies:
        assert remedy["why"] in text
    assert "A model that never predicts “<b>ill” is right in 90 % of the rows" in text
    assert "300 rows before, 300 now; differences: 0" in text
    assert "class <b>ill10 %10 %-" in text
    assert "none shown" in text
    estimate = found.columns[0]["average_precision"]
    assert f"dosenumeric{estimate['value']:.3f}{estimate['low']:.3f} to" in text
    assert "guessing has 0.100" in text
    assert "Changes since the earlier version" not in audit_page(found)
    assert not re.search(r"\b(nan|None)\b", text)


def test_a_table_without_a_model():
    frame = pd.DataFrame({"dose": [1.0, 2.0, 3.0]})
    page = audit_page(audit(frame, ["a", "a", "b"]))
    assert "No model could be trained" in page
    assert "Rows of each class" in page
    assert "The accuracy paradox" not in page


def test_figures_show_what_the_table_holds():
    rng = np.random.default_rng(0)
    ill = np.arange(400) < 40
    frame = pd.DataFrame(
        {
            "dose": rng.normal(2 * ill, 1),
            "less": rng.normal(-3 * ill, 1),
            "site": np.where(rng.random(400) < np.where(ill, 0.8, 0.3), "a", "b"),
            "gap": np.where(ill & (np.arange(400) < 30), np.nan, rng.normal(size=400)),
        }
    )
    found = audit(frame, np.where(ill, "ill", "well"))
    sections = {s["name"]: s["figures"] for s in audit_figures(found)}
    titles = [f["title"] for figures in sections.values() for f in figures]
    assert titles[:3] == ["Rows of each class", "The accuracy paradox", "Correlation with “ill”"]
    assert titles[-2:] == ["Missing cells", "Scores of the quick model"]
    assert set(titles[3:-2]) == set(frame)
    drawn = {f["title"]: f for figures in sections.values() for f in figures}
    assert "400" not in drawn["Rows of each class"]["svg"]
    assert ">40<" in drawn["Rows of each class"]["svg"].replace(" ", "")
    assert ">90%<" in drawn["The accuracy paradox"]["svg"].replace(" ", "")
    for title, number in (("Rows of each class", "360"), ("The accuracy paradox", "90 %")):
        bar = re.search(r'd="M ([\d.]+) [\d.]+\s+L ([\d.]+)[^"]*" clip-path', drawn[title]["svg"])
        beside = re.search(rf'x="([\d.]+)"[^>]*>\s*{number}<', drawn[title]["svg"])
        assert bar
        assert beside
        assert float(beside[1]) - float(bar[2]) > 2, f"{number} touches its bar"
    said = drawn["Missing cells"]["caption"]
    assert "it is missing in 75.0% of “ill”, 75.0 points more than in the other rows" in said
    assert "seen" not in found.to_json()


def test_advice_is_about_this_table():
    rng = np.random.default_rng(0)
    ill = np.arange(600) < 60
    frame = pd.DataFrame({"dose": rng.normal(0.8 * ill, 1), "age": rng.normal(size=600)})
    found = audit(frame, np.where(ill, "ill", "well"))
    assert found.model is not None
    why = {r["remedy"]: r["why"] for r in found.remedies}
    assert why["move the threshold"].startswith(
        f"at 0.5 the quick model finds {found.model.recall.value:.0%}"
    )
    assert "it finds 80%, with" in why["move the threshold"]
    # The rows that are named are those that the page lists.
    first = ", ".join(map(str, found.model.hard_rows[:3]))
    assert f"first of rows {first} (counted from 0)" in why["look at the hard rows"]
    assert "--synthesizer tabflow" in why["synthetic rows"]
    leaking = audit(frame.assign(code=np.where(ill, "x", "y")), np.where(ill, "ill", "well"))
    assert "check 'code' first" in leaking.remedies[0]["why"]


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
