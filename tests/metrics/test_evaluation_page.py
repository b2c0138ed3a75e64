"""The page of an evaluation: every score beside its reference, safe, and quiet in a browser."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pages import HOSTILE, Page, browse, cards_of

from synthgen.metrics.evaluate import evaluate
from synthgen.metrics.evaluation_page import MAX_FIGURES, render_evaluation
from synthgen.metrics.limits import ALL_RULES, RULES
from synthgen.metrics.report import Report
from synthgen.metrics.score import Part, Score
from synthgen.metrics.verdicts import Verdict
from synthgen.report.template import figure
from synthgen.tables.table import Table


def frame(rows: int, shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ill = rng.permutation(np.arange(rows) < rows // 3)
    dose = rng.normal(size=rows) + ill + shift
    dose[::7] = np.nan
    return pd.DataFrame(
        {
            "dose": dose,
            "age": rng.integers(20, 80, rows),
            "sex": rng.choice(["f", "m"], rows),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "ill": np.where(ill, "yes", "no"),
        }
    )


def curve(power: float) -> dict[str, np.ndarray]:
    x = np.linspace(0, 1, 300)
    return {"x": x, "y": x**power}


def fake(
    label: str = "yes", names: dict[str, str] | None = None, judge: str = "boosting"
) -> Report:
    """A report whose figures all differ, so that each can be found."""
    number = iter(np.arange(1, 400) / 1000)

    def score(name: str, group: str, **more: Any) -> Score:
        value, reference, low, high = (float(next(number)) for _ in range(4))
        given = {"value": value, "reference": reference, "better": "higher", "note": ""}
        return Score(name, group, interval=(low, high), **(given | more))

    frames = [frame(90, seed=0), frame(60, 0.5, seed=1), frame(80, seed=2)]
    for one in frames:
        called = [(names or {}).get(c, c) for c in one.columns]
        one.columns = pd.Index(called, dtype=object)  # pandas 3 takes not every text as text
        one["ill"] = one["ill"].where(one["ill"] != "yes", label)
    columns = [str(c) for c in frames[0].columns if c != "ill"]
    groups = (label, "all")
    fidelity = [score(f"fidelity.{n}", g) for g in groups for n in ("battery", "pair_trends")]
    fidelity += [score("fidelity.column_shape", f"{g}: {c}") for g in groups for c in columns]
    fidelity += [
        score("fidelity.column_target", f"{label}: {c}", better="reference") for c in columns
    ]
    utility = [
        score(f"utility.{use}.{n}", judge, floor=0.5)
        for use in ("replace", "augment", "fresh")
        for n in ("ap_ratio", "brier", "calibration_slope")
    ]
    utility += [score("utility.replace.recall", f"{judge}: sex={v}") for v in ("f", "m")]
    privacy = [score(f"privacy.{n}", g) for g in groups for n in ("mia_excess", "distance_median")]
    privacy.append(
        score(
            "privacy.mia_line_auc", label, value=np.nan, reference=None, note="it needs two numbers"
        )
    )
    schema = Table.of(pd.concat(frames, ignore_index=True), target="ill").schema
    tables = [Table.of(one, schema=schema) for one in frames]
    verdicts = (
        Verdict("fidelity", "passes", f"What {label} says of fidelity.", fidelity[0], "f"),
        Verdict("utility", "undecided", f"What {label} says of utility.", utility[0], "u"),
        Verdict("privacy", "fails", f"What {label} says of privacy.", privacy[2], "p"),
    )
    kinds = ("roc", "pr", "calibration")
    return Report(
        target="ill",
        label=label,
        train=tables[0],
        synthetic=tables[1],
        holdout=tables[2],
        fidelity=Part(fidelity, notes=["every real row keeps <b>a</b>"]),
        utility=Part(
            utility,
            {f"{k} {judge} {u}": curve(0.5) for k in kinds for u in ("real", "replace", "augment")},
            ["natural shares"],
            {judge: "a tree with depth=3"},
        ),
        privacy=Part(
            privacy,
            {
                f"{kind}{end}": curve(0.7)
                for kind in (
                    "attack roc synthetic",
                    "attack roc fresh",
                    "nearest train row synthetic",
                    "nearest train row holdout",
                )
                for end in ("", " all")
            },
            ["This is evidence, not a guarantee"],
        ),
        verdicts=verdicts,
        notes=("no holdout was given", "<i>"),
        sizes={"train": 90, "synthetic": 60, "holdout": 80},
        macro={},
        classes=tuple(
            {"label": c, "train": 1, "synthetic": 2, "holdout": 3, "verdicts": decided}
            for c, decided in (("no", None), (label, {v.part: v.outcome for v in verdicts}))
        ),
        held_out=False,
        spoilt={},
        left_out=0,
        seed=7,
        seconds={"fidelity": 1.0, "utility": 2.0, "privacy": 0.5},
    )


@pytest.fixture(scope="module")
def text() -> str:
    return render_evaluation(fake())


def test_names_in_backticks_are_code_in_page_and_notebook():
    report = fake(label="<b>")
    given = "`unit<price` equals `due`: What <b> says of fidelity."
    first = replace(report.verdicts[0], sentence=given)
    score = replace(report.fidelity.scores[0], note="`site` is `north` in 3 % of real rows")
    fidelity = replace(
        report.fidelity, scores=[score, *report.fidelity.scores[1:]], notes=["`dose` was left out"]
    )
    report = replace(report, verdicts=(first, *report.verdicts[1:]), fidelity=fidelity)
    page = render_evaluation(report)
    shown = "<code>unit&lt;price</code> equals <code>due</code>: What &lt;b&gt; says"
    assert shown in page
    assert shown in report._repr_html_()
    assert "<code>site</code> is <code>north</code> in 3 %" in page
    assert "<li><code>dose</code> was left out</li>" in page
    assert "`" not in Page(page).text
    assert "`unit<price` equals `due`" in report.cards[0].line()  # a terminal has no code


# --- what it says ---------------------------------------------------------------------------------


def test_every_score_stands_beside_its_interval_and_reference(text: str):
    page, report = Page(text), fake()
    for score in report.scores:
        row = page.rows[f"{score.name}@{score.group}"]
        low, high = score.interval or (0, 0)
        assert figure(score.value) in row
        assert f"{figure(low)} to {figure(high)}" in " ".join(row.split())
        assert figure(score.reference) in row
        assert score.floor is None or figure(score.floor) in row


def test_what_was_not_measured_is_a_dash_and_says_why(text: str):
    row = Page(text).rows["privacy.mia_line_auc@yes"]
    assert "–" in row
    assert "it needs two numbers" in row
    assert "nan" not in row.lower()


def test_verdicts_notes_and_sizes(text: str):
    said = " ".join(Page(text).text.split())
    for expected in (
        "Fidelity: ✓ passes",
        "Utility: ? undecided",
        "Privacy: ✗ fails",
        "What yes says of utility.",
        "no holdout was given",
        "every real row keeps <b>a</b>",
        "boosting: a tree with depth=3; the same settings for",
        "This is evidence, not a guarantee",
        "60 synthetic rows are compared with the 90 rows of train",
        "split off from train",
    ):
        assert expected in said


def test_it_says_how_the_parts_are_judged(text: str):
    page = Page(text)
    for rule in RULES:
        assert rule["part"] in fake().parts
        for text in rule.values():
            assert text in page.text
    for line in ALL_RULES:
        assert line in page.text
    assert len(RULES) + len(ALL_RULES) <= 10
    assert "How the verdicts are reached" in page.text
    assert fake().to_json()["limits"] == {"rules": list(RULES), "all": list(ALL_RULES)}


def test_every_figure_says_how_to_read_it(text: str):
    page = Page(text)
    # 4 columns, 2 maps of pairs, 3 curves of a judge, 2 of attacks on each of 2 groups.
    assert page.tags.count("figure") == page.tags.count("figcaption") == 4 + 2 + 3 + 2 * 2
    assert page.tags.count("table") == page.tags.count("caption")
    assert page.text.count("How to read") >= 1 + 2 + 3 + 4
    assert page.text.count(fake().recommendation.text) == 1


def test_a_score_of_an_unknown_name_and_judge_is_shown():
    report = fake(judge="mypkg.trees:Forest")
    extra = Score("fidelity.new_thing", "yes", 0.123, 0.456, "lower", None)
    report = replace(report, fidelity=replace(report.fidelity, scores=[extra]))
    page = Page(render_evaluation(report))
    assert "New thing" in page.text
    assert "0.456" in page.rows["fidelity.new_thing@yes"]
    assert "Curves of mypkg.trees:Forest" in page.text


def test_hostile_names_labels_and_judges_are_text():
    names = {"dose": f"<img src=x onerror=y>{HOSTILE}", "sex": "a&b\x00\ud800"}
    report = fake(HOSTILE, names, judge="<b>judge</b>")
    page = Page(render_evaluation(report))
    assert page.tags.count("script") == 2  # ours
    assert "img" not in page.tags
    assert HOSTILE in page.text
    assert f"<img src=x onerror=y>{HOSTILE}" in page.text
    assert "<b>judge</b>" in page.text
    for score in report.scores:
        assert (
            f"{score.name}@{score.group}".replace("\x00", "�").replace("\ud800", "�") in page.rows
        )


def test_figures_of_any_size():
    odd = [
        Score(f"fidelity.odd_{k}", "yes", v, v, "higher", (v, v), v)
        for k, v in enumerate((np.nan, np.inf, -1e308, 1e308, 1e-300))
    ]
    page = Page(render_evaluation(replace(fake(), fidelity=Part(odd))))
    shown = [page.rows[f"{score.name}@yes"].split() for score in odd]
    assert [row[0] for row in shown] == ["–", "–", "−1e+308", "1e+308", "1e−300"]


def test_no_rows_of_the_class_and_no_scores():
    report = fake()
    none = report.synthetic.rows(report.synthetic.labels < 0)
    empty = Part([])
    page = Page(
        render_evaluation(
            replace(report, synthetic=none, fidelity=empty, utility=empty, privacy=empty)
        )
    )
    assert "No column can be drawn." in page.text


def test_many_columns_keep_the_page_small(tmp_path: Path):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(60, 70))).rename(columns="column {}".format)
    wide["ill"] = np.arange(60) < 20
    table = Table.of(wide, target="ill")
    scores = [
        Score("fidelity.column_shape", f"True: column {k}", k / 70, 1.0, "higher", None)
        for k in range(70)
    ]
    report = replace(
        fake(), label="True", train=table, synthetic=table, holdout=table, fidelity=Part(scores)
    )
    report.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.text.count("numeric: shape") == MAX_FIGURES
    assert "column 69" in page.text.partition("Not drawn")[2]


def test_nothing_comes_from_the_network(text: str):
    assert all(link.startswith("#") for link in Page(text).links)
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?\s*(https?:|//)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]\b", text)  # every stand-in became a colour
    assert len(text) < 3_000_000


def test_the_same_report_gives_the_same_page(text: str):
    assert render_evaluation(fake()) == text
    assert not re.search(r"\d{4}-\d{2}-\d{2}T", text)


def test_connections_between_columns_are_those_of_the_class():
    rng = np.random.default_rng(0)
    a = rng.normal(size=900)

    def table(b: np.ndarray) -> Table:
        level = np.where(a > 0, "high", "low")
        columns = {"a": a, "b": b, "c": level, "d": level, "ill": np.arange(900) % 3 == 0}
        return Table.of(pd.DataFrame(columns), target="ill")

    train, made = table(a**3), table(-a)
    report = replace(fake(), label="True", train=train, synthetic=made, holdout=train)
    page = Page(render_evaluation(report))
    pairs = " ".join(page.text.partition("pairs that differ most")[2].split())
    assert re.search(
        r"a · b ?1.000 ?−1.000 ?1.000 ?−2.000 ?−2.000 to −2.000 ?0.000", pairs
    )  # Spearman's ρ
    assert re.search(r"c · d ?1.000 ?1.000 ?1.000 ?0.000 ?0.000 to 0.000", pairs)  # Cramér's V
    assert re.search(r"a · c ?0.8[67]\d ?0.8[67]\d", pairs)  # √0.75: ranks, halved


def test_nothing_is_said_of_a_pair_that_few_rows_have_both_of():
    rng = np.random.default_rng(0)

    def table(known: int) -> Table:
        a, b, c = rng.normal(size=(3, 300))
        c[np.flatnonzero(np.arange(300) % 3 == 0)[known:]] = np.nan
        return Table.of(
            pd.DataFrame({"a": a, "b": b, "c": c, "ill": np.arange(300) % 3 == 0}), target="ill"
        )

    def pairs(known: int) -> str:
        given = {"train": table(60), "synthetic": table(known), "holdout": table(60)}
        page = Page(render_evaluation(replace(fake(), label="True", **given)))
        return " ".join(
            page.text.partition("pairs that differ most")[2].partition("Utility")[0].split()
        )

    said = pairs(9)
    assert "2 pairs for which a side has fewer than 10 rows with both values" in said
    assert "a · b" in said
    assert "a · c" not in said
    assert "a · c" in pairs(10)
    assert "Left out" not in pairs(10)


def test_the_page_of_a_measured_report(tmp_path: Path):
    report = evaluate(
        frame(60, seed=3),
        frame(30, seed=4),
        holdout=frame(60, seed=5),
        target="ill",
        judges=["logistic"],
        by="sex",
    )
    report.to_html(tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    for score in report.scores:
        assert figure(score.value) in page.rows[f"{score.name}@{score.group}"]
    for verdict in report.verdicts:
        assert verdict.sentence in page.text


# --- in a browser ---------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_browser_finds_all_sections_no_error_and_asks_for_nothing(tmp_path: Path, text: str):
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    dom, console, asked = browse(path)
    assert console == []
    assert asked == []
    page = Page(dom.partition("<!DOCTYPE html>")[2])
    assert {"key", "fidelity", "utility", "privacy", "made"} <= set(page.ids)
    assert page.tags.count("svg") == Page(text).tags.count("svg")
    assert page.tags.count("button") > 20  # the heads of the tables can be clicked, and tabbed to


@pytest.mark.browser
def test_the_browser_would_notice_an_error_and_a_request(tmp_path: Path, text: str):
    path = tmp_path / "page.html"
    open_page = re.sub(r"<meta http-equiv=[^>]*>", "", text)
    path.write_text(
        open_page.replace(
            "</body>", '<img src="http://127.0.0.1:9/a.png"><script>gone()</script></body>'
        ),
        encoding="utf-8",
    )
    _, console, asked = browse(path)
    assert any("gone is not defined" in line for line in console)
    assert asked == ["http://127.0.0.1:9/a.png"]


SORT = """
const scores = document.querySelector("table.scores");
const shown = (place) => Array.from(scores.tBodies[0].rows, (row) => row.cells[place].textContent);
const out = document.createElement("pre");
const click = (place) => scores.tHead.rows[0].cells[place].querySelector("button").click();
click(2);
const up = shown(2);
const first = scores.tHead.rows[0].cells[2].getAttribute("aria-sort");
click(2);
const down = shown(2);
click(5);
out.id = "sorted";
out.textContent = JSON.stringify({up, down, first, floors: shown(5)});
document.body.append(out);
"""


@pytest.mark.browser
def test_a_click_on_a_head_sorts_by_it(tmp_path: Path, text: str):
    path = tmp_path / "page.html"
    path.write_text(text.replace("</body>", f"<script>{SORT}</script></body>"), encoding="utf-8")
    dom, console, _ = browse(path)
    assert console == []
    found = re.search(r'<pre id="sorted">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None
    told = json.loads(html.unescape(found[1]))
    values = [float(v) for v in told["up"]]
    assert len(values) > 3
    assert values == sorted(values)
    assert told["down"] == told["up"][::-1]
    assert told["first"] == "ascending"
    assert told["floors"][0] == "0.500"
    assert told["floors"][-1] == "–"  # what has no number comes last


@pytest.mark.browser
def test_on_a_phone_nothing_is_wider_than_the_screen(tmp_path: Path, text: str):
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    tell = (
        "const r = document.documentElement; parent.postMessage(r.scrollWidth - r.clientWidth, '*')"
    )
    inner.write_text(text.replace("</body>", f"<script>{tell}</script></body>"), encoding="utf-8")
    outer.write_text(
        "<!DOCTYPE html><title>phone</title>"
        "<script>onmessage = (e) => document.body.append('too wide by ' + e.data)</script>"
        '<body><iframe src="inner.html" style="width:390px;height:800px;border:0"></iframe>'
    )
    dom, _, _ = browse(outer)
    assert "too wide by 0" in dom


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_a_table_that_must_be_scrolled_says_so(tmp_path: Path, text: str, width: int):
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    tell = """
    for (const closed of document.querySelectorAll("details")) closed.open = true;
    let looks = 0;
    const look = () => {
      const boxes = Array.from(document.querySelectorAll(".scroll"));
      const told = boxes.map((box) => {
        const said = getComputedStyle(box.querySelector("caption"), "::after").content;
        return (box.scrollWidth > box.clientWidth + 1 ? "wide" : "fits")
          + (said.includes("scroll sideways") ? " said" : " silent");
      });
      // A busy browser marks the tables late.
      if (told.includes("wide silent") && ++looks < 25) setTimeout(look, 400);
      else parent.postMessage(told.join(", "), "*");
    };
    setTimeout(look, 400);
    """
    inner.write_text(text.replace("</body>", f"<script>{tell}</script></body>"), encoding="utf-8")
    outer.write_text(
        "<!DOCTYPE html><title>phone</title>"
        "<script>onmessage = (e) => document.body.append('told: ' + e.data)</script>"
        f'<body><iframe src="inner.html" style="width:{width}px;height:800px;border:0"></iframe>',
        encoding="utf-8",
    )
    dom, _, _ = browse(outer)
    told = dom.rpartition("told: ")[2].partition("</body>")[0].split(", ")
    assert len(told) > 3
    assert {t.strip() for t in told} <= {"wide said", "fits silent"}
    assert ("wide said" in dom) == (width == 390)


def test_a_notebook_shows_the_verdicts_and_the_curves():
    page = cards_of(fake(label=HOSTILE))
    text = " ".join(page.text.split())
    assert "Privacy: fails" in text
    assert f"What {HOSTILE} says of fidelity." in text
    assert page.tags.count("svg") == 1
