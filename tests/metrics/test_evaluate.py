"""The report: known verdicts, tables that do not quite match, and the JSON that gates read."""

import itertools
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE

import synthgen
from synthgen.errors import DataError, UsageError
from synthgen.metrics import advice as advice_module
from synthgen.metrics import (
    attacks,
    battery,
    detectors,
    limits,
    privacy,
    samples,
    utility_trial,
    verdicts,
)
from synthgen.metrics import evaluate as evaluating
from synthgen.metrics.advice import LEAST_ROWS, USES, recommend
from synthgen.metrics.class_verdicts import macro, of_each_class, of_worst_utility, told_of
from synthgen.metrics.evaluate import evaluate
from synthgen.metrics.evaluation_page import render_evaluation
from synthgen.metrics.names import GATED, NAMES
from synthgen.metrics.report import Report
from synthgen.metrics.score import Part, Score
from synthgen.model_selection.classifiers import FOR_SMALL, SETTINGS, described
from synthgen.report import gates
from synthgen.report.gates import gate
from synthgen.synthesizers import marginals
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table


def frame(seed: int, rows: int = 320) -> pd.DataFrame:
    """Numbers of which two go together, levels, and an ID; every second row is ill."""
    rng = np.random.default_rng(seed)
    ill = np.arange(rows) % 2 == 0
    a = rng.normal(size=rows) + 1.5 * ill
    return pd.DataFrame(
        {
            "key": [f"{seed}-{k}" for k in range(rows)],
            "a": a,
            "b": 2 * a + 0.2 * rng.normal(size=rows),
            "c": rng.normal(size=rows),
            "d": rng.normal(size=rows),
            "visits": rng.integers(0, 60, rows),
            "site": np.where(a > 0.5, "north", "south"),
            "ill": np.where(ill, "yes", "no"),
        }
    )


def judged(synthetic: pd.DataFrame, **options: Any) -> Report:
    given = {"holdout": frame(2), "target": "ill", "label": "yes", "judges": ["logistic"]}
    return evaluate(frame(1), synthetic, **(given | options))


def outcomes(report: Report) -> dict[str, str]:
    return {v.part: v.outcome for v in report.verdicts}


def rare(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.ill == "yes"].reset_index(drop=True)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS["boosting"], "max_iter", 20)
        patch.setitem(FOR_SMALL, "max_iter", 20)
        patch.setattr(samples, "HALVES", 4)
        patch.setattr(battery, "REPEATS", 1)
        patch.setitem(detectors.FOR_SMALL, "max_iter", 20)
        patch.setattr(detectors, "UPDATES", 100)
        patch.setattr(utility_trial, "REPLICATES", 60)
        patch.setattr(attacks, "REPEATS", (2, 2))
        yield


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at the tables and not at the figures."""
    names = ("replace.ap_ratio", "replace.average_precision", "augment.ap_gain")
    for part in ("fidelity", "target_correlation", "utility", "utility_of_class", "privacy"):
        of = part.removesuffix("_of_class")
        scores = [Score(f"{of}.{n}", "all", 1.0, 1.0, "higher", (1.0, 1.0)) for n in names]
        monkeypatch.setattr(evaluating, part, lambda *_, scores=scores, **__: Part(scores))


@pytest.fixture(scope="module")
def fresh() -> Report:
    return judged(rare(frame(3)))


@pytest.fixture(scope="module")
def copied() -> Report:
    return judged(frame(1))


# --- known verdicts -----------------------------------------------------------------------------


def test_a_third_real_sample_passes_all(fresh: Report):
    found = outcomes(fresh)
    assert found["fidelity"] == "passes"
    assert found["utility"] == "passes"
    assert found["privacy"] in ("passes", "undecided")  # 160 rows against 160
    excess = fresh.score("privacy.mia_excess")
    assert excess.interval is not None
    assert excess.interval[0] <= 0 <= excess.interval[1]
    assert fresh.scores[0].group == "yes"
    advice = fresh.recommendation
    assert advice.text.startswith("Use the synthetic rows of “yes” for demonstrations")
    assert "training a classifier in place of the real rows" in advice.text
    assert fresh.to_json()["recommendation"] == asdict(advice)
    assert list(fresh.parts) == ["fidelity", "utility", "privacy"]


def test_train_itself_is_like_train_and_gives_it_away(copied: Report):
    assert outcomes(copied) == {"fidelity": "passes", "utility": "passes", "privacy": "fails"}
    assert "320 of 320 synthetic rows are equal to a row of train" in copied.notes[1]
    assert {s.group for s in copied.privacy.scores} == {"yes", "no", "all"}
    groups = [s.group for s in copied.fidelity.scores if s.name == "fidelity.pair_trends"]
    assert groups == ["yes", "no", "all"]
    (each,) = [note for note in copied.notes if note.startswith("verdicts of each class: “yes”: ")]
    mean = np.mean([copied.score("fidelity.battery", group).value for group in ("yes", "no")])
    assert copied.macro["fidelity"] == pytest.approx(mean)
    assert f". Mean of the classes: battery {mean:.2f}, average precision kept " in each


def test_copies_with_noise_and_smote_are_caught():
    rng = np.random.default_rng(0)
    noisy = rare(frame(1))
    for name in "abcd":
        noisy[name] += 0.01 * noisy[name].std() * rng.normal(size=len(noisy))
    assert outcomes(judged(noisy))["privacy"] == "fails"
    numbers = frame(1)[["a", "b", "c", "d", "ill"]]
    few = numbers.drop(index=numbers.index[numbers.ill == "yes"][40:])
    made = SMOTE(sampling_strategy={"yes": 120}, random_state=0).fit_resample(  # pyright: ignore
        few.drop(columns="ill"), few.ill
    )
    smote = made[0].iloc[len(few) :].assign(ill="yes")
    report = evaluate(
        few,
        smote,
        holdout=frame(2)[list(few)],
        target="ill",
        judges=["logistic"],
    )
    assert outcomes(report)["privacy"] == "fails"


def test_shuffled_columns_fail_fidelity():
    rng = np.random.default_rng(0)
    shuffled = rare(frame(3)).apply(lambda column: rng.permutation(column.to_numpy()))
    report = judged(shuffled)
    assert outcomes(report)["fidelity"] == "fails"
    verdict = report.verdicts[0]
    assert verdict.key == report.score("fidelity.battery")
    assert "A detector separates most of them from real rows (yes)" in verdict.sentence
    assert "The best detector is " in verdict.sentence


def test_the_worst_group_decides_and_what_gave_it_away_is_told():
    given = "`paid` equals `due` in 14.5 % of real rows, 1.3 % of synthetic rows"

    def test(group: str, value: float) -> Score:
        near = (value - 0.03, value + 0.03)
        return Score("fidelity.battery", group, value, 1.0, "higher", near, 0.0, given)

    like = test("yes", 0.99)
    for value, outcome in ((0.98, "passes"), (0.7, "falls short"), (0.2, "fails")):
        other = test("no", value)
        found = verdicts.of_fidelity(Part([like, other]), "yes")
        assert found.outcome == outcome
        assert found.key == other
        assert "from real rows (no)" in found.sentence
        assert given in found.sentence
    assert verdicts.of_fidelity(Part([test("no", 0.99)]), "yes").outcome == "undecided"


def three_classes() -> dict[str, Part]:
    """Scores of “yes”, which passes, of “no”, which fails, and of “maybe”, which has few rows."""

    def test(name: str, group: str, value: float, wide: float = 0.02, **more: Any) -> Score:
        near = None if value != value else (value - wide, value + wide)
        given = {"reference": 1.0, "better": "higher", "floor": 0.0} | more
        return Score(name, group, value, interval=near, **given)

    battery, kept = "fidelity.battery", "utility.replace.ap_ratio"
    found = {"yes": 0.11, "no": 0.3, "maybe": 0.15}
    alone = {"reference": 0.1, "better": "lower"}
    places = {"yes": "hgb", "no": "hgb: ill=no", "maybe": "hgb: ill=maybe"}
    shares = {"yes": 0.99, "no": 0.5, "maybe": float("nan")}
    return {
        "fidelity": Part([test(battery, c, shares[c]) for c in shares]),
        "utility": Part(
            [
                test(name, place, shares[c], note="too few")
                for c, place in places.items()
                for name in (kept, "utility.replace.average_precision")
            ]
        ),
        "privacy": Part([test(verdicts.RECOGNISED, c, v, 0.08, **alone) for c, v in found.items()]),
    }


def test_each_class_has_its_verdicts_and_their_means_are_told():
    tested = {"yes": 50, "no": 50, "maybe": 1}
    found = of_each_class(three_classes(), tested, "ill", held_out=True, spoilt={})
    assert [c.label for c in found] == ["yes", "no", "maybe"]
    # Without an excess of attacks, rows that are not found cannot pass.
    assert found[0].outcomes == {"fidelity": "passes", "utility": "passes", "privacy": "undecided"}
    assert found[1].outcomes == {"fidelity": "falls short", "utility": "fails", "privacy": "fails"}
    assert set(found[2].outcomes.values()) == {"undecided"}
    means = {"fidelity": 0.745, "utility": 0.745, "privacy": (0.11 + 0.3 + 0.15) / 3}
    assert macro(found) == pytest.approx(means)
    note = told_of(found)
    assert "“no”: fidelity falls short, utility fails, privacy fails" in note
    assert "Mean of the classes: battery 0.74, average precision kept 74%" in note
    worst = of_worst_utility(found)
    assert worst.outcome == "fails"
    assert "In place of the real rows of no" in worst.sentence
    assert worst.known.endswith("(the worst: “no”)")
    spoilt = of_each_class(three_classes(), tested, "ill", True, {"utility": "the rows are equal"})
    assert [c.outcomes["utility"] for c in spoilt] == ["undecided", "fails", "undecided"]
    assert set(macro(spoilt)) == {"fidelity", "privacy"}
    seen = of_each_class(three_classes(), tested, "ill", held_out=False, spoilt={})
    assert set(macro(seen)) == {"fidelity", "utility"}
    assert told_of(found[:1]) == ""


def test_every_class_that_was_made_has_the_verdicts_that_all_forms_show(copied: Report):
    content = copied.to_json()
    assert [c["label"] for c in content["classes"]] == ["no", "yes"]
    for one, shown in zip(content["classes"], copied.classes, strict=True):
        assert one["verdicts"] == shown["verdicts"]
        for verdict in copied.verdicts:  # the worst class decides
            rank = verdicts.WORST_FIRST.index
            assert rank(verdict.outcome) <= rank(one["verdicts"][verdict.part])
        said = ", ".join(f"{part} {outcome}" for part, outcome in one["verdicts"].items())
        assert any(f"“{one['label']}”: {said}" in note for note in copied.notes)
        cells = "".join(f"<td>{outcome}</td>" for outcome in one["verdicts"].values())
        assert cells in render_evaluation(copied)
    assert content["macro"] == copied.macro
    assert set(copied.macro) == set(PARTS)


def test_rows_of_the_other_class_do_not_pass_utility():
    report = judged(frame(3).query("ill == 'no'").assign(ill="yes"))
    assert outcomes(report)["utility"] in ("fails", "undecided")
    (kept,) = (s for s in report.scores if s.name == "utility.replace.ap_ratio")
    assert kept.floor is not None
    assert kept.value < kept.floor + 0.1


def test_rows_that_say_the_contrary_fail_utility():
    wrong = rare(frame(3))
    report = judged(wrong.assign(a=wrong.a - 4, b=wrong.b - 8, site="south"))
    assert outcomes(report)["utility"] == "fails"
    assert outcomes(report)["fidelity"] == "fails"


def test_three_test_rows_tell_nothing_of_a_classifier():
    rng = np.random.default_rng(0)

    def drawn(rows: int, rare: int) -> pd.DataFrame:
        ill = np.arange(rows) < rare
        return pd.DataFrame({"dose": rng.normal(size=rows), "ill": ill})

    report = evaluate(drawn(80, 6), drawn(20, 20), holdout=drawn(60, 3), target="ill")
    verdict = {v.part: v for v in report.verdicts}["utility"]
    assert verdict.outcome == "undecided"
    assert "too few test rows to tell (3 of the class)" in verdict.sentence


def test_without_a_holdout_privacy_cannot_pass():
    report = judged(rare(frame(1)), holdout=None)
    assert not report.held_out
    assert report.sizes == {"train": 224, "synthetic": 160, "holdout": 96}
    assert any("no holdout was given: 96 of 320 rows" in note for note in report.notes)
    assert outcomes(report)["privacy"] == "fails"
    part = Part([Score("privacy.mia_excess", "yes", 0.0, 0.0, "lower", (-0.01, 0.01))])
    assert verdicts.of_privacy(part, held_out=True).outcome == "passes"
    assert verdicts.of_privacy(part, held_out=False).outcome == "undecided"


def test_nothing_passes_on_rows_that_the_synthesizer_or_train_has():
    copied = rare(frame(1))
    same = judged(copied, holdout=frame(1))
    assert same.held_out
    assert set(same.spoilt) == {"utility", "privacy"}
    assert "passes" not in [outcomes(same)[part] for part in same.spoilt]
    content = same.to_json()
    assert not gate(content, "privacy.mia_excess<=2")
    assert not gate(content, "utility.replace.ap_ratio>=0")
    seen = judged(rare(frame(2)), holdout=frame(2))
    assert "passes" not in outcomes(seen).values()
    split = judged(copied, holdout=None)
    assert not gate(split.to_json(), "privacy.mia_excess<=2")
    assert gate(split.to_json(), "utility.replace.ap_ratio>=0")


def test_a_worse_judge_decides_about_utility():
    def scores(judge: str, ratio: float) -> list[Score]:
        names = ("replace.ap_ratio", "replace.average_precision", "augment.ap_gain")
        near = (ratio - 0.01, ratio + 0.01)
        return [Score(f"utility.{n}", judge, ratio, 1.0, "higher", near, 0.1) for n in names]

    good, bad = scores("boosting", 1.0), scores("logistic", 0.3)
    for order in ([*good, *bad], [*bad, *good]):
        found = verdicts.of_utility(Part(order), "yes", 100, held_out=True)
        assert found.outcome == "fails"
        assert "average precision of logistic" in found.sentence
    assert verdicts.of_utility(Part(good), "yes", 100, held_out=True).outcome == "passes"
    assert verdicts.of_utility(Part(good), "yes", 100, held_out=False).outcome == "undecided"


def test_the_recommendation_names_the_rows_that_decided():
    other = Score("fidelity.battery", "other", 0.1, 1.0, "higher", (0.0, 0.2), 0.0)
    own = replace(other, group="yes", value=1.0, interval=(0.9, 1.0))
    found = verdicts.of_fidelity(Part([other, own]), "yes")
    advice = recommend([found], target="ill", label="yes", held_out=True, rows=320)
    assert advice.action == "make others"
    assert advice.certainty == (
        "A detector separates most of them from real rows (the worst: “other”)."
    )
    assert "--synthesizer trees" in advice.command


def test_rows_that_leak_are_for_inside_and_large_tables_have_a_proof():
    assert LEAST_ROWS == marginals.LEAST_ROWS
    parts = ("fidelity", "passes"), ("utility", "passes"), ("privacy", "fails")
    found = [verdicts.Verdict(part, cast(Any, o), "", None, o) for part, o in parts]
    few, many = (
        recommend(found, target="ill", label="yes", held_out=True, rows=rows)
        for rows in (LEAST_ROWS - 1, LEAST_ROWS)
    )
    for advice in (few, many):
        assert advice.action == "do not share"
        assert "only where the real rows may be used" in advice.text
    assert few.command == (
        "synthgen augment TRAIN --target ill --label yes --synthesizer tabflow -o OUT"
    )
    assert few.text.endswith(
        "attacks found 21% to 24% of 300 training rows by them, 91% of 150 by rows of SMOTE, by "
        "guessing 10%. Rows of tabflow did not pass on any of eight tables. A proof of privacy "
        "needs 5,000 rows of all classes (--synthesizer private)."
    )
    assert many.command.startswith("synthgen fit TRAIN --target ill --synthesizer private")
    assert many.text.endswith("learn the whole table with --synthesizer private.")


@pytest.mark.parametrize("made_by", ["trees", "SequentialTrees", "TabFlow", "CTGAN", "TVAE"])
def test_no_synthesizer_is_advised_for_privacy_that_reveals_as_much(made_by: str):
    found = [verdicts.Verdict("privacy", "fails", "", None, "half are found")]
    how: dict[str, Any] = {"target": "ill", "label": "yes", "held_out": True}
    advice = recommend(found, **how, rows=LEAST_ROWS - 1, synthesizer=made_by)
    assert advice.command == ""
    assert "rows of trees, tabflow, ctgan and tvae passed on none of eight tables" in advice.text
    assert advice.text.endswith("needs 5,000 rows of all classes (--synthesizer private).")
    many = recommend(found, **how, rows=LEAST_ROWS, synthesizer=made_by)
    assert "--synthesizer private" in many.command
    moved = recommend(found, **how, rows=99, synthesizer="SmoothedBootstrap")
    assert "--synthesizer tabflow" in moved.command


@pytest.mark.parametrize("part", ["fidelity", "utility"])
def test_the_synthesizer_that_made_the_rows_is_not_advised_again(part: str):
    found = [verdicts.Verdict(part, "fails", "", None, "most differ")]
    how: dict[str, Any] = {"target": "ill", "label": "yes", "held_out": True, "rows": 320}
    for made_by in ("trees", "SequentialTrees"):
        advice = recommend(found, **how, synthesizer=made_by)
        assert advice.command.endswith("--label yes --synthesizer tabflow -o OUT")
        assert "These are rows of trees" in advice.text
    for made_by in ("", "TabFlow", "SmoothedBootstrap"):
        advice = recommend(found, **how, synthesizer=made_by)
        assert advice.command.endswith("--label yes --synthesizer trees -o OUT")
        assert "These are rows" not in advice.text


def test_rows_of_trees_that_are_copies_can_be_replaced():
    """Of a few rows trees learn nothing, so that a bootstrap makes the rows."""
    how: dict[str, Any] = {"target": "ill", "label": "yes", "held_out": True, "rows": 99}
    key = Score("privacy.near_copies", "yes", 0.5, 0.0, "lower", (0.4, 0.6))
    found = [verdicts.of_privacy(Part([key]), held_out=True)]
    assert found[0].outcome == "fails"
    advice = recommend(found, **how, synthesizer="SequentialTrees")
    assert advice.command.endswith("--synthesizer tabflow -o OUT")
    assert recommend(found, **how, synthesizer="TabFlow").command == ""


def test_a_report_hands_the_synthesizer_to_its_advice(fresh: Report):
    assert judged(rare(frame(3)), synthesizer="trees").synthesizer == "trees"
    bad = (verdicts.Verdict("fidelity", "fails", "It fails.", None, "most differ"),)
    for made_by, other in (("", "trees"), ("trees", "tabflow")):
        report = replace(fresh, verdicts=bad, synthesizer=made_by)
        assert f"--synthesizer {other} " in report.recommendation.command


def test_rows_with_a_proof_that_leak_are_not_sent_back_to_it():
    found = [verdicts.Verdict("privacy", "fails", "", None, "it leaks")]
    advice = advice_module.recommend(
        found, target="ill", label="yes", held_out=True, rows=9_000, synthesizer="PrivateMarginals"
    )
    assert advice.command == ""
    assert advice.text.endswith("with a smaller epsilon.")


def test_what_is_said_of_tabflow_beside_trees_is_what_was_measured():
    """In the table of classes of 300 rows in evaluation/trees.md, and that of privacy.md."""
    folder = Path(__file__).parents[2] / "evaluation"
    head = "| table | trees | TabFlow | excess, trees |"
    text = (folder / "trees.md").read_text().partition(head)[2].partition("\n\n")[0]
    rows = [line.split(" | ") for line in text.splitlines()[2:]]
    both = [row for row in rows if row[2].strip()]
    assert len(both) == 11
    assert sum(float(row[2]) > float(row[1]) for row in both) == advice_module.MORE_REAL
    assert sum(float(row[6]) > float(row[5]) for row in both) == advice_module.TAUGHT_MORE
    text = (folder / "privacy.md").read_text()
    for name in advice_module.ALIKE:
        line = next(ln for ln in text.splitlines() if ln.startswith(f"| {name} | 8 |"))
        assert line.split(" | ")[4].startswith("0, "), "rows of none pass"
        if name == advice_module.NEXT:
            assert line.endswith(", 21% to 24% |")
    smote = next(line for line in text.splitlines() if line.startswith("| rows of SMOTE |"))
    assert smote.endswith("| 91% |")


def test_an_interval_that_says_nothing_is_not_told():
    names = ("replace.ap_ratio", "replace.average_precision", "augment.ap_gain")

    def judge(low: float, high: float, tested: int) -> verdicts.Verdict:
        part = Part([told(f"utility.{n}", 0.97, low, high, floor=0.2) for n in names])
        return verdicts.of_utility(part, "yes", tested, held_out=True)

    wide = judge(0.29, 4.51, 9)
    assert wide.known == (
        "there are too few test rows to tell (9 of the class) what a classifier trained on them "
        "keeps of its average precision"
    )
    assert wide.sentence.startswith(
        "In place of the real rows of yes there are too few test rows to tell (9 of the class) "
        "what they keep of the average precision of yes: 0.970 instead of 1.000; noise keeps "
        "20%. "
    ), wide.sentence
    advice = recommend([wide], target="ill", label="yes", held_out=True, rows=320)
    assert "451%" not in " ".join(advice.lines())
    assert "too few test rows to tell (9 of the class)" in advice.certainty
    assert "[-30%, 80%]" not in judge(-0.3, 0.8, 4).sentence  # too few for any verdict
    for readable in (judge(0.3, 1.29, 9), judge(0.96, 2.5, 9)):  # narrow enough, or a pass
        assert "too few test rows to tell" not in readable.sentence + readable.known
        assert "%]" in readable.sentence


def test_what_is_undecided_is_said_as_what_is_known():
    names = ("replace.ap_ratio", "replace.average_precision", "augment.ap_gain")
    wide = Part([told(f"utility.{n}", 0.97, 0.86, 1.07, floor=0.2) for n in names])
    few = verdicts.of_utility(wide, "yes", 45, held_out=True)
    excess = Score("privacy.mia_excess", "yes", 0.05, 0.0, "lower", (-0.01, 0.14))
    unsure = verdicts.of_privacy(Part([excess]), held_out=True)
    real = verdicts.of_fidelity(Part([told("fidelity.battery", 1.0, 0.9, 1.0)]), "yes")
    advice = recommend([real, few, unsure], target="ill", label="yes", held_out=True, rows=320)
    assert advice.action == "use in part"
    assert advice.text == (
        "Use the synthetic rows of “yes” for demonstrations and software tests; it is not known "
        "yet whether they are fit for training a classifier in place of the real rows or sharing."
    )
    assert advice.certainty == (
        "No detector separates more than a few of them from real rows. A classifier trained on "
        "them keeps between 86% and 107% of its average precision; about 200 test rows of the "
        "class would decide; privacy is undecided, too."
    )
    test = told("fidelity.battery", 0.7, 0.44, 0.96, floor=0.0)
    blind = verdicts.of_fidelity(Part([test]), "yes")
    assert (blind.known, blind.more) == (
        "before detectors they score 0.44 to 0.96 (real rows: 1)",
        "more rows of the class would decide",
    )
    advice = recommend([blind, few, unsure], target="ill", label="yes", held_out=True, rows=320)
    assert advice.lines() == [
        "Do not rely on the synthetic rows of “yes” yet: evaluate them with more real rows. On "
        "training a classifier in place of the real rows, about 200 test rows of the class would "
        "decide; you have 45.",
        "How sure: A classifier trained on them keeps between 86% and 107% of its average "
        "precision. Fidelity and privacy are undecided, too.",
    ]
    spoilt = verdicts.unless(blind, "the tables share rows")
    advice = recommend([spoilt], target="ill", label="yes", held_out=False, rows=320)
    assert advice.certainty == "Fidelity cannot be measured, as the tables share rows."
    assert "--holdout HOLDOUT" in advice.command


@pytest.mark.parametrize(
    ("value", "low", "high", "tested", "said"),
    [
        (0.97, 0.86, 1.07, 45, "about 200 test rows"),  # an interval of 0.1, not of 0.21
        (0.97, 0.92, 1.04, 90, "about 200 test rows"),  # 130, rounded up
        (0.90, 0.80, 1.00, 40, "about 200 test rows"),  # 4 times as many exclude 0.95, too
        (0.80, 0.60, 1.00, 40, "about 80 test rows"),  # excludes 0.95 long before it is narrow
        (0.95, 0.0, 1.1, 6, "far more than 6 test rows"),
    ],
)
def test_how_many_test_rows_would_decide(
    value: float, low: float, high: float, tested: int, said: str
):
    ratio = Score("utility.replace.ap_ratio", "forest", value, 1.0, "higher", (low, high), 0.2)
    more = limits.needed(ratio, tested, held_out=True)
    assert more.startswith(f"{said} of the class would decide")
    assert ("you have" in more) == ("about" in more)
    if "about" in more:  # with so many rows the rule decides: the interval shrinks as told
        rows = int(said.split()[1])
        shrink = (tested / rows) ** 0.5
        ends = value - (value - low) * shrink, value + (high - value) * shrink
        narrow = replace(ratio, interval=ends)
        few = [replace(narrow, name=f"utility.{n}") for n in ("replace.average_precision",)]
        assert verdicts.of_utility(Part([ratio, *few]), "yes", tested, True).outcome == "undecided"
        assert verdicts.of_utility(Part([narrow, *few]), "yes", rows, True).outcome != "undecided"
    assert limits.needed(ratio, tested, held_out=False) == "a holdout would decide"


PARTS = ("fidelity", "utility", "privacy")


@pytest.mark.parametrize("outcomes", [*itertools.product(verdicts.WORST_FIRST, repeat=3)])
def test_no_form_of_a_report_contradicts_another(fresh: Report, outcomes: tuple[Any, ...]):
    found = tuple(
        verdicts.Verdict(part, outcome, f"It {outcome}.", None, f"{part} {outcome}")
        for part, outcome in zip(PARTS, outcomes, strict=True)
    )
    report = replace(fresh, verdicts=found)
    advice, content = report.recommendation, report.to_json()
    for card, one, plain in zip(report.cards, found, content["verdicts"], strict=True):
        assert (card.title.lower(), card.outcome, card.text) == (
            one.part,
            one.outcome,
            one.sentence,
        )
        assert plain["outcome"] == one.outcome
        if one.outcome != "undecided":
            assert one.known in advice.certainty.lower()
        else:
            assert one.part in advice.certainty.lower()
    assert advice.certainty.count(".") <= 2
    unknown = "; it is not known yet whether they are fit for "
    do, _, after = advice.text.partition("; do not use them for ")
    do_not, _, open_ = after.partition(unknown)
    if not after:
        do, _, open_ = do.partition(unknown)
    for part, outcome in zip(PARTS, outcomes, strict=True):
        use = USES[part]
        if outcome == "passes" and part == "privacy":  # attacks with the model find more
            assert use not in advice.text
            assert ("Before you share them" in advice.text) == ("passes" in outcomes[:2])
        elif outcome == "passes":
            assert use in do
            assert use not in do_not + open_
        elif use in do:  # nothing that does not pass is ever advised
            assert "do not" in do.lower()
    assert content["recommendation"]["text"] == advice.text
    assert repr(report).startswith(advice.text[:60])


def test_numbers_that_another_table_writes_as_text_are_numbers():
    made = rare(frame(3))
    as_text = made.assign(a=made["a"].map(repr))
    assert outcomes(judged(as_text)) == outcomes(judged(made))
    as_text.loc[as_text.index[3], "a"] = "oops"
    with pytest.raises(
        DataError, match=r"synthetic table: column 'a', row .*'oops' is not a number"
    ):
        judged(as_text)


@pytest.mark.parametrize(
    ("share", "low", "outcome"),
    [(0.55, 0.52, "fails"), (0.55, 0.49, "passes"), (0.525, 0.51, "passes")],
)
def test_rows_nearer_to_train_fail_where_chance_does_not_explain_it(
    share: float, low: float, outcome: str
):
    nearer = Score("privacy.nearer_to_train", "yes", share, 0.5, "reference", (low, 0.6))
    excess = Score("privacy.mia_excess", "yes", 0.0, 0.0, "lower", (-0.01, 0.01))
    assert verdicts.of_privacy(Part([nearer, excess]), held_out=True).outcome == outcome


def test_what_fails_fails_with_an_interval_half_as_wide_again():
    excess = Score("privacy.mia_excess", "yes", 0.05, 0.0, "lower", (0.02, 0.08))
    assert verdicts.of_privacy(Part([excess]), held_out=True).outcome == "fails"
    unsure = replace(excess, interval=(0.01, 0.09))  # 0.05 - 1.5 * 0.04 is below 0
    assert verdicts.of_privacy(Part([unsure]), held_out=True).outcome == "passes"


def told(name: str, value: float, low: float, high: float, **more: Any) -> Score:
    given = {"reference": 1.0, "better": "higher"}
    return Score(name, "yes", value, interval=(low, high), **(given | more))


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome", "why"),
    [
        # The interval's upper end, 1.5 times as far away: 0.95 passes. Below that, 0.5 falls short.
        (0.71, 0.54, 0.8701, "passes", ""),
        (0.71, 0.54, 0.8699, "falls short", ""),
        (0.5, 0.4, 0.6, "falls short", ""),
        (0.49, 0.4, 0.6, "fails", ""),
        (0.9, 0.5, 1.3, "passes", ""),
        (0.9, 0.49, 1.31, "undecided", "begins at 0.49"),
        (-0.9, -1.9, 0.1, "fails", ""),
    ],
)
def test_the_limits_of_fidelity_are_those_that_are_told(
    value: float, low: float, high: float, outcome: str, why: str
):
    found = verdicts.of_fidelity(Part([told("fidelity.battery", value, low, high)]), "yes")
    assert (found.outcome, why in found.sentence) == (outcome, True)


@pytest.mark.parametrize(
    ("value", "low", "high", "floor", "tested", "outcome", "why"),
    [
        (0.95, 0.9, 1.0, 0.5, 5, "passes", ""),
        (0.98, 0.95, 1.2, 0.5, 5, "passes", ""),
        (0.98, 0.94, 1.05, 0.5, 5, "undecided", "wider than 10%"),
        (0.94, 0.9, 0.96, 0.5, 5, "falls short", ""),
        (0.8, 0.7, 0.9, 0.5, 5, "falls short", ""),
        (0.79, 0.7, 0.9, 0.5, 5, "fails", ""),
        (0.98, 0.97, 1.0, 0.95, 5, "undecided", "noise keeps 95%"),
        (0.98, 0.97, 1.0, 0.5, 4, "undecided", "Fewer than 5"),
    ],
)
def test_the_limits_of_utility_are_those_that_are_told(
    value: float, low: float, high: float, floor: float, tested: int, outcome: str, why: str
):
    names = ("replace.ap_ratio", "replace.average_precision", "augment.ap_gain")
    part = Part([told(f"utility.{n}", value, low, high, floor=floor) for n in names])
    found = verdicts.of_utility(part, "yes", tested, held_out=True)
    assert (found.outcome, why in found.sentence) == (outcome, True)


@pytest.mark.parametrize(
    ("name", "value", "low", "high", "outcome", "said"),
    [
        ("mia_excess", 0.03, 0.001, 0.06, "falls short", "ROC-AUC 0.03 above that of"),
        ("mia_excess", 0.031, 0.001, 0.06, "fails", "excess +0.03 [+0.00, +0.06]"),
        ("mia_excess", 0.05, -0.01, 0.1, "passes", "above"),
        ("mia_excess", 0.05, -0.01, 0.11, "undecided", "excess of up to 0.11 is possible"),
        ("mia_excess", -0.02, -0.05, 0.01, "passes", "ROC-AUC 0.02 below that of the worst attack"),
        (
            "mia_excess",
            -0.001,
            -0.05,
            0.01,
            "passes",
            "as high as that of the worst attack",
        ),
        ("mia_tpr_at_10", 0.2, 0.151, 0.25, "fails", "recognises 20% [15%, 25%] of the training"),
        ("mia_tpr_at_10", 0.2, 0.149, 0.25, "undecided", "15% or less, and an interval that ends"),
        ("mia_tpr_at_10", 0.15, 0.1, 0.2, "passes", ""),
        ("mia_tpr_at_10", 0.15, 0.1, 0.201, "undecided", "more training and held-out rows would"),
        ("nearer_to_train", 0.54, 0.501, 0.6, "fails", "54.0% [50.1%, 60.0%] of them (yes) are"),
        ("nearer_to_train", 0.53, 0.501, 0.6, "passes", ""),
        ("copies", 0.2, 0.151, 0.3, "fails", "equal to a training row; real rows 10.0%"),
        ("copies", 0.2, 0.149, 0.3, "falls short", "equal to a training row"),
        ("copies", 0.2, 0.104, 0.3, "undecided", "more than the 10.0% of real rows"),
        ("copies", 0.101, 0.1, 0.15, "passes", ""),
        ("copies", 0.101, 0.1, 0.151, "undecided", "ends at 15.0% or below; it ends at 15.1%"),
        ("near_copies", 0.2, 0.151, 0.3, "fails", "nearly equal to a training row"),
        ("near_copies", 0.2, 0.149, 0.3, "undecided", "ends at 15.0% or below; it ends at 30.0%"),
        ("near_copies", 0.12, 0.11, 0.15, "passes", ""),
        (
            "nearer_to_train",
            0.52,
            0.49,
            0.61,
            "undecided",
            "ends at 60.0% or below; it ends at 61.0%",
        ),
    ],
)
def test_the_limits_of_privacy_are_those_that_are_told(
    name: str, value: float, low: float, high: float, outcome: str, said: str
):
    score = told(f"privacy.{name}", value, low, high, reference=0.1)
    attack = [] if name == "mia_excess" else [told("privacy.mia_excess", 0.0, 0.0, 0.0)]
    # Bounds that are left as they are: how much wider they are taken has a test of its own.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "WIDER", 1.0)
        found = verdicts.of_privacy(Part([score, *attack]), held_out=True)
    assert (found.outcome, said in found.sentence) == (outcome, True)


def test_without_real_rows_beside_them_copies_cannot_be_told():
    alone = replace(told("privacy.copies", 0.5, 0.4, 0.6), reference=None)
    found = verdicts.of_privacy(Part([alone]), held_out=True)
    assert found.outcome == "undecided"
    assert "there are no real rows to compare with" in found.sentence
    assert "real rows 0" not in found.sentence


def test_a_holdout_without_the_class_gives_no_verdict_of_privacy():
    report = judged(rare(frame(2)), holdout=frame(3).query("ill == 'no'"))
    assert outcomes(report)["privacy"] == "undecided"


def test_what_speaks_against_all_figures_stands_before_a_failure():
    failed = verdicts.Verdict("privacy", "fails", "They are copies.", None, "they are copies")
    said = verdicts.unless(failed, "the first rows are train itself")
    assert said.outcome == "fails"
    assert said.sentence == "The first rows are train itself. They are copies."


def test_broken_rules_are_told_with_the_fidelity():
    test = Score("fidelity.battery", "yes", 0.97, 1.0, "higher", (0.9, 1.0), 0.0)
    rules = Score("fidelity.rules_kept", "yes", 0.2, 1.0, "higher", (0.1, 0.3))
    both = [
        verdicts.of_fidelity(Part([test, r]), "yes").sentence
        for r in (
            rules,
            replace(rules, value=0.99, interval=(0.97, 1.0)),
        )
    ]
    assert (
        "20.0% [10.0%, 30.0%] of them satisfy the rules that hold in train, and 100.0% of real rows"
        in both[0]
    )
    assert "rules" not in both[1]


@pytest.mark.parametrize(("rows", "copied"), [(1, 1), (10, 1), (100, 2), (1000, 8), (1000, 1)])
def test_a_copied_person_does_not_pass(rows: int, copied: int):
    rng = np.random.default_rng(5)
    train, made, held = (
        pd.DataFrame(rng.lognormal(size=(1000, 4)), columns=list("abcd")) for _ in range(3)
    )
    schema = Schema.infer(pd.concat([train, made, held]))

    def told(synthetic: pd.DataFrame) -> verdicts.Verdict:
        tables = [Table(t.reset_index(drop=True), schema) for t in (train, synthetic, held)]
        part = privacy.privacy(*tables, group="yes", random_state=0, device="cpu")
        return verdicts.of_privacy(part, held_out=True)

    found = told(pd.concat([train[:copied], made[: rows - copied]]))
    assert found.outcome == "undecided"
    assert found.key is not None
    assert found.key.name == "privacy.copies"
    assert "That is more than the 0.0% of real rows" in found.sentence
    if rows == 1000:
        assert told(made).outcome == "passes"


def test_the_worst_attack_is_named():
    areas = {"distance": 0.5, "density": 0.6, "classifier": 0.7, "line": np.nan}
    scores = [Score(f"privacy.mia_{n}_auc", "yes", v, 0.5, "lower", None) for n, v in areas.items()]
    scores.append(Score("privacy.mia_auc", "yes", 0.7, 0.5, "lower", (0.6, 0.8)))
    scores.append(Score("privacy.mia_excess", "yes", 0.2, 0.0, "lower", (0.1, 0.3)))
    verdict = verdicts.of_privacy(Part(scores), held_out=True)
    assert "The worst attack on yes (classifier) recognises training rows" in verdict.sentence


def private(train: np.ndarray, made: np.ndarray, held: np.ndarray, seed: int) -> verdicts.Verdict:
    """Of all rows, and of their first half as a class."""
    frames = [pd.DataFrame(rows, columns=list("abc")) for rows in (train, made, held)]
    schema = Schema.infer(pd.concat(frames))
    tables = [Table(one, schema) for one in frames]
    halves = [table.rows(np.arange(len(table)) < len(table) // 2) for table in tables]
    scores = []
    for group, of in (("yes", halves), ("all", tables)):
        found = privacy.privacy(*of, group=group, random_state=seed, device="cpu")
        scores += found.scores
    return verdicts.of_privacy(Part(scores), held_out=True)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_sixty_rows_copies_and_near_copies_fail(seed: int):
    rng = np.random.default_rng(seed)
    train, held = rng.lognormal(size=(2, 60, 3))
    near = train * np.exp(0.01 * rng.normal(size=train.shape))
    for made in (train, near):
        assert private(train, made, held, seed).outcome == "fails"


@pytest.mark.slow
def test_fresh_rows_seldom_fail():
    """Of twenty triples of real rows, with eight tests each; without room three of these fail."""
    found = []
    for seed in range(144, 164):
        train, made, held = np.random.default_rng(seed).lognormal(size=(3, 60, 3))
        found.append(private(train, made, held, seed).outcome)
    assert sum(outcome in ("fails", "falls short") for outcome in found) <= 1


# --- what must not matter -----------------------------------------------------------------------


def test_dates_that_another_table_writes_as_text_are_dates():
    def dated(seed: int, of: pd.DataFrame) -> pd.DataFrame:
        days = np.random.default_rng(seed).integers(0, 900, len(of))
        return of.assign(seen=pd.Timestamp("2020-01-01") + pd.to_timedelta(days, "D"))

    train, made, held = dated(1, frame(1)), dated(3, rare(frame(3))), dated(2, frame(2))
    options: Any = {"holdout": held, "target": "ill", "label": "yes", "judges": ["logistic"]}
    as_text = made.assign(seen=made.seen.dt.strftime("%Y-%m-%d"))
    found = [evaluate(train, of, **options).scores for of in (made, as_text)]
    assert found[0] == found[1]
    as_text.loc[as_text.index[3], "seen"] = "soon"
    with pytest.raises(DataError, match=r"synthetic table: column 'seen'.*'soon' is not a date"):
        evaluate(train, as_text, **options)


def test_order_index_and_dtype_do_not_matter(fresh: Report):
    turned = [frame(1), rare(frame(3)), frame(2)]
    for k, table in enumerate(turned):
        table = table.sample(frac=1, random_state=k).iloc[:, ::-1]
        turned[k] = table.astype({"visits": "float64", "site": "category", "ill": "category"})
    again = evaluate(
        turned[0], turned[1], holdout=turned[2], target="ill", label="yes", judges=["logistic"]
    )
    assert [s.to_json() for s in again.scores] == [s.to_json() for s in fresh.scores]
    assert again.verdicts == fresh.verdicts


@pytest.mark.usefixtures("unmeasured")
def test_tables_that_do_not_quite_match():
    made = rare(frame(3)).drop(columns="key").assign(is_synthetic=True)
    made["visits"] = made.visits + 0.5
    made.loc[[0, 4], "site"] = "moon"
    made.loc[7, "site"] = "mars"
    report = judged(made)
    notes = " ".join(report.notes)
    assert "columns not compared (IDs, texts, empty columns): key" in notes
    assert "columns of synthetic that train lacks are left out: is_synthetic" in notes
    assert "column visits: whole numbers in train, fractions in synthetic" in notes
    said = "column site: 3 synthetic rows have a value that is not in train: 'moon' (2), 'mars'"
    assert said in notes
    assert "a value that is not" not in " ".join(judged(rare(frame(3))).notes)
    assert "moon" in report.train.schema["site"].categories
    assert "key" not in report.synthetic.frame


@pytest.mark.usefixtures("unmeasured")
def test_rows_that_stand_in_two_tables_are_told():
    held = pd.concat([frame(2), frame(1)[:40]], ignore_index=True)
    notes = " ".join(judged(rare(frame(3)), holdout=held).notes)
    assert "40 of 360 holdout rows are equal to a row of train" in notes
    notes = " ".join(judged(rare(frame(2))).notes)
    assert "160 different synthetic rows are equal to a holdout row that is not in train" in notes
    assert "equal to" not in " ".join(judged(rare(frame(3))).notes)
    few = [table[["site", "ill"]] for table in (frame(1), rare(frame(3)), frame(2))]
    report = evaluate(few[0], few[1], holdout=few[2], target="ill")  # rows of few levels are equal
    assert "same records" not in " ".join(report.notes)


@pytest.mark.usefixtures("unmeasured")
def test_single_precision_is_no_difference():
    short = frame(1).astype({"a": "float32", "b": "Float32"})
    report = judged(short)
    notes = " ".join(report.notes)
    assert "320 of 320 synthetic rows are equal to a row of train" in notes
    assert "column a: compared in 32-bit precision, that of synthetic" in notes
    assert "column c:" not in notes
    for name in ("a", "b"):
        most = report.train.frame[name].max()
        assert report.synthetic.frame[name].max() == most == np.float32(frame(1)[name].max())


@pytest.mark.usefixtures("unmeasured")
def test_levels_that_another_table_writes_as_text_are_the_same():
    numbers = [table.assign(ill=np.where(table.ill == "yes", 1, 0)) for table in map(frame, (1, 2))]
    made = rare(frame(3)).assign(ill="1")
    report = evaluate(numbers[0], made, holdout=numbers[1], target="ill", judges=["logistic"])
    assert report.label == "1"
    sizes = {"train": 160, "synthetic": 160, "holdout": 160}
    assert {"label": "1", **sizes} == {k: report.classes[1][k] for k in ("label", *sizes)}
    assert report.classes[0]["verdicts"] is None  # it has no synthetic row


@pytest.mark.usefixtures("unmeasured")
def test_of_an_augmented_table_the_new_rows_are_judged():
    new = rare(frame(3))
    whole = pd.concat([frame(1), new], ignore_index=True).assign(is_synthetic=False, w=1.0)
    alone = judged(new)
    for given in (whole, whole.sample(frac=1, random_state=0)):
        report = judged(given)
        assert (report.left_out, report.sizes) == (320, alone.sizes)
        assert report.spoilt == {}
        assert "Only the 160 new rows of the augmented table were evaluated" in (
            report.recommendation.certainty
        )
        assert any("contains the 320 rows of train" in note for note in report.notes)
        pd.testing.assert_frame_equal(report.synthetic.frame, alone.synthetic.frame)
    part = judged(whole[5:])  # not all of train: these are rows that give train away
    assert part.left_out == 0
    coarse = [table[["site", "ill"]] for table in (frame(1), frame(2), frame(3))]
    twice = pd.concat(coarse[1:], ignore_index=True)
    assert evaluate(coarse[0], twice, holdout=coarse[2], target="ill").left_out == 0


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({"columns": "c"}, {}, DataError, "the synthetic table lacks column 'c' of train"),
        (
            {"ill": "maybe"},
            {},
            DataError,
            "synthetic table: column 'ill', row 0: 'maybe' is not a class",
        ),
        ({"a": "high"}, {}, DataError, "column 'a', row 0: 'high' is not a number"),
        ({}, {"label": "no"}, DataError, "no row of 'no': choose a class"),
        ({}, {"label": "perhaps"}, UsageError, "is no class of the target"),
        ({}, {"by": "colour"}, UsageError, "by 'colour' is not a column"),
        ({}, {"by": "ill"}, UsageError, "by 'ill' is the target"),
        ({}, {"judges": ["oracle"]}, UsageError, "judge 'oracle' is not known"),
        ({}, {"random_state": -1}, UsageError, "random_state must be a whole number"),
    ],
)
def test_mistakes_are_named(change: dict, options: dict, error: type, message: str):
    made = rare(frame(3))
    made = made.drop(columns="c") if "columns" in change else made.assign(**change)
    with pytest.raises(error, match=message):
        judged(made, **options)


def test_a_row_without_a_class_or_of_another_one_is_named_with_its_table():
    given: dict[str, Any] = {"train": frame(1), "synthetic": rare(frame(3)), "holdout": frame(2)}

    def refused(which: str, cell: str | None) -> DataError:
        table = given[which]
        marked = table.assign(ill=table.ill.mask(table.index.isin([4, 6]), cell))
        with pytest.raises(DataError) as caught:
            evaluate(**(given | {which: marked}), target="ill", judges=["logistic"])
        return caught.value

    for which, table in given.items():
        none = table.ill.mask(table.index == 4, None)[4]
        error = refused(which, None)
        assert error.code == 339
        assert error.message == (
            f"{which} table: target 'ill', row 4: {none} is no class; 2 rows have no class: "
            f"drop them or give them one"
        )
        if which != "train":
            error = refused(which, "maybe")
            assert error.code == 332
            assert error.message == (
                f"{which} table: column 'ill', row 4: 'maybe' is not a class of train ('no', "
                f"'yes'); 2 rows have such classes: drop these rows, or add rows of their classes "
                f"to train"
            )


@pytest.mark.usefixtures("unmeasured")
def test_a_device_that_is_not_there_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch):
    def worked(*_: Any, **__: Any) -> Part:
        raise AssertionError("measured first")

    monkeypatch.setattr(evaluating, "fidelity", worked)
    with pytest.raises(UsageError, match="'cuda:99' was asked for, but this machine"):
        judged(rare(frame(3)), device="cuda:99")


# --- the result ---------------------------------------------------------------------------------


def test_gates_read_the_json(fresh: Report):
    content = json.loads(json.dumps(fresh.to_json(), allow_nan=False))
    assert gate(content, "utility.replace.ap_ratio >= 0.8")
    assert not gate(content, "fidelity.column_shapes>=2")
    ratio = fresh.score("utility.replace.ap_ratio", "logistic").value
    assert content["utility"]["replace.ap_ratio@logistic"] == ratio
    assert gate(content, f"privacy.mia_excess@yes<={content['privacy']['mia_excess']}")
    with pytest.raises(UsageError, match=r"utility\.replace\.ap_ratio"):
        gate(content, "utility.replace.ap_ration>=1")
    for score in content["scores"]:
        assert set(score) == {
            *("name", "group", "value", "reference", "better", "interval", "floor", "note")
        }
        assert score["name"].split(".")[0] in content
    assert [v["part"] for v in content["verdicts"]] == ["fidelity", "utility", "privacy"]
    assert content["judges"] == {"logistic": described("logistic")}


def test_all_names_are_known_before_the_work():
    def known(seed: int) -> pd.DataFrame:
        table = frame(seed)
        late = table.visits + np.random.default_rng(seed).integers(1, 9, len(table))
        return table.assign(late=late, c=table.c.mask(table.c > 1))

    report = evaluate(known(1), known(3), holdout=known(2), target="ill", by="site")
    found = {score.name for score in report.scores}
    names = {f"{part}.{name}" for part, names in NAMES.items() for name in names}
    assert found == names
    numbers = {name.partition("@")[0] for name in gates.numbers_by_name(report.to_json())}
    assert numbers == set(GATED)


def test_a_gate_on_what_was_not_measured_says_why(fresh: Report):
    def said(report: Report, rule: str) -> str:
        content = report.to_json()
        assert not gate(content, rule)
        return gates.value_of(content, rule, report.unknown)

    split = replace(fresh, held_out=False)
    for rule in ("privacy.mia_excess<=2", "privacy.mia_excess@yes>=-2", "privacy.mia_auc<=1"):
        assert said(split, rule).startswith("unknown without --holdout")
    spoilt = replace(fresh, spoilt={"utility": "some rows are the same"})
    assert said(spoilt, "utility.replace.ap_ratio>=0") == "unknown: some rows are the same"
    assert gate(spoilt.to_json(), "fidelity.column_shapes>=0")
    alone = replace(fresh, macro={})
    assert said(alone, "macro.privacy<=1") == "unknown: it was not measured for any class"
    assert "unknown: it needs --by" in said(fresh, "utility.replace.recall_gap<=1")
    assert "as the notes say" in said(fresh, "utility.whole.average_precision>=0")
    assert "because they are of one class" in " ".join(fresh.note_lines())
    few = Score("fidelity.column_shapes", "yes", np.nan, None, "higher", None, None, "one row")
    few = replace(fresh, fidelity=Part([few]))
    for name in ("column_shapes", "pair_trends"):
        assert said(few, f"fidelity.{name}>=0") == "unknown: one row"
    absent = said(fresh, "privacy.mia_excess@all<=1")
    assert absent == "unknown: it was not measured for all, but for yes"
    assert said(fresh, "rows.train@yes>=1") == "unknown: it has no groups"
    with pytest.raises(UsageError, match="close to it: privacy"):
        gate(fresh.to_json(), "privacy.mia_exces@all<=1")


def test_a_gate_without_a_group_never_answers_for_another_class_or_judge(fresh: Report):
    other = Score("fidelity.rules_kept", "no", 1.0, 1.0, "higher", (1.0, 1.0))
    forest = Score("utility.fresh.ap_ratio", "forest", 1.0, 1.0, "higher", (1.0, 1.0))
    report = replace(
        fresh,
        fidelity=Part([*fresh.fidelity.scores, other]),
        utility=Part([s for s in fresh.utility.scores if s.name != forest.name] + [forest]),
    )
    content = report.to_json()
    for name, group, first in ((other.name, "no", "yes"), (forest.name, "forest", "logistic")):
        assert not gate(content, f"{name}>=0")
        assert gate(content, f"{name}@{group}>=0")
        assert report.unknown(name) == f"unknown: it was not measured for {first}, but for {group}"
        with pytest.raises(KeyError):
            report.score(name)
    assert "for yes, but for yes: a, yes: b" in report.unknown("fidelity.column_shape")


def test_a_score_is_found_by_name_and_group(copied: Report):
    assert copied.score("fidelity.pair_trends").group == "yes"
    assert copied.score("fidelity.pair_trends", "all").group == "all"
    with pytest.raises(KeyError, match="pair_trends@maybe"):
        copied.score("fidelity.pair_trends", "maybe")
    rows = copied.table_rows()
    assert rows[0][:2] == ["fidelity.battery", "yes"]
    assert all(len(row) == 6 for row in rows)


def test_it_is_shown_in_twelve_lines_that_lead_with_the_finding(fresh: Report, copied: Report):
    for report in (fresh, copied):
        lines = repr(report).splitlines()
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 100
        assert repr(report).startswith(report.recommendation.text[:80])
        assert f"Report on target 'ill': {', '.join(sizes_of(report))} rows" in lines


def sizes_of(report: Report) -> list[str]:
    return [f"{rows} {name}" for name, rows in report.sizes.items()]


def test_the_frame_has_all_scores(fresh: Report):
    frame = fresh.to_frame()
    assert len(frame) == len(fresh.scores)
    row = frame[(frame["name"] == "mia_excess") & (frame["group"] == "yes")].iloc[0]
    score = fresh.score("privacy.mia_excess")
    assert row["part"] == "privacy"
    assert (row["value"], row["low"], row["high"]) == (score.value, *(score.interval or ()))


@pytest.mark.usefixtures("unmeasured")
def test_the_schema_is_inferred_once_and_a_holdout_may_stand_third(
    monkeypatch: pytest.MonkeyPatch,
):
    infer, calls = Schema.infer, []

    def counted(*args: Any, **given: Any) -> Schema:
        calls.append(1)
        return infer(*args, **given)

    monkeypatch.setattr(Schema, "infer", counted)
    given: dict[str, Any] = {"target": "ill", "judges": ["logistic"]}
    one = evaluate(frame(1), rare(frame(3)), frame(2), **given)
    assert len(calls) == 1
    two = evaluate(frame(1), rare(frame(3)), holdout=frame(2), **given)
    assert one.sizes == two.sizes == {"train": 320, "synthetic": 160, "holdout": 320}


def test_it_is_a_public_name():
    assert synthgen.evaluate is evaluate
    assert synthgen.Report is Report


def test_numbers_at_the_ends_of_64_bits_are_judged() -> None:
    """Whole numbers near 2^63 and floats near 1e308, whose differences overflow."""

    def table(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        sign = np.where(rng.random(600) < 0.5, -1, 1)
        return pd.DataFrame(
            {
                "whole": np.int64(2**63 - 1) - rng.integers(0, 1000, 600),
                "lowest": pd.array(np.int64(-(2**63)) + rng.integers(0, 9000, 600), dtype="Int64"),
                "float": sign * rng.random(600) * 1.7e308,
                "class": np.where(rng.random(600) < 0.3, "ill", "well"),
            }
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(table(0), table(1), table(2), target="class", label="ill", random_state=0)
    frame = found.to_frame().set_index(["name", "group"])["value"]
    for column in ("whole", "lowest", "float"):
        assert frame["column_shape", f"ill: {column}"] > 0.8
    assert np.isfinite(frame[["column_shapes", "pair_trends", "alpha_precision"]]).all()
