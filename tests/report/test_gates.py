"""Gates: what they compare, and what they refuse."""

import math

import pytest

from synthgen.errors import UsageError
from synthgen.report.gates import check_gates, gate, value_of

REPORT = {
    "rows": 100,
    "share": 0.25,
    "below": -2.0,
    "minority": {"rows": 30, "label": "yes", "rows_per_feature": 7.5},
    "classes": {">50K": {"rows": 9}, "a.b": {"rows": 4}, "x=1": 3},
    "flags": {"sampled": True},
    "findings": [{"code": "leak"}],
    "model": None,
    "privacy": {"attack": math.nan},
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rows>=100", True),
        ("rows>100", False),
        ("rows<=100", True),
        ("rows<100", False),
        ("rows==100", True),
        ("rows!=100", False),
        ("  rows  >=  1e2 ", True),
        ("rows>=+100.", True),
        ("share<.5", True),
        ("share == 0.25", True),
        ("below>=-2", True),
        ("below<-2e0", False),
        ("minority.rows>=50", False),
        ("minority.rows_per_feature>7", True),
        ("classes.>50K.rows>=9", True),
        ("classes.>50K.rows>9", False),
        ("classes.a.b.rows<5", True),
        ("classes.x=1>=3", True),
    ],
)
def test_compares(expression: str, expected: bool):
    assert gate(REPORT, expression) is expected


@pytest.mark.parametrize("sign", [">=", "<=", "==", "!=", ">", "<"])
@pytest.mark.parametrize("name", ["model", "model.average_precision.low", "privacy.attack"])
def test_what_was_not_measured_fulfils_nothing(name: str, sign: str):
    assert gate(REPORT, f"{name}{sign}0") is False


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rows",
        ">=5",
        "rows>=",
        "rows=5",
        "rows=>5",
        "rows>==5",
        "rows>=five",
        "rows>=5%",
        "rows>=nan",
        "rows>=inf",
        "rows>=1_000",
        "rows>=0x10",
        "rows>=__import__('os').getpid()",
        "50<=rows",
        "rows>=5x",
    ],
)
def test_refuses_what_is_no_gate(expression: str):
    with pytest.raises(UsageError, match="cannot be read") as caught:
        gate(REPORT, expression)
    assert caught.value.code == 291
    assert repr(expression) in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "close"),
    [
        ("minority.row>=5", "minority.rows"),
        ("minorty.rows>=5", "minority.rows"),
        ("Rows>=5", "rows"),
        ("zzzz>=5", "rows, share"),
        ("minority>=5", "minority.rows"),
        ("minority.label>=5", "minority"),
        ("flags.sampled>=1", "share"),
        ("findings>=1", "rows"),
        ("rows>=5 or 1>=0", "rows"),
    ],
)
def test_unknown_name_lists_close_ones(expression: str, close: str):
    with pytest.raises(UsageError, match="there is no number") as caught:
        gate(REPORT, expression)
    assert caught.value.code == 292
    assert close in str(caught.value)


def test_report_without_numbers():
    with pytest.raises(UsageError, match="holds no number"):
        gate({"a": "b"}, "a>1")


def test_a_group_that_is_not_there_fulfils_nothing():
    report = {"privacy": {"copies": 0.1, "copies@yes": 0.1}}
    assert gate(report, "privacy.copies@yes<=1")
    assert not gate(report, "privacy.copies@no<=1")
    assert not gate(report, "privacy.copies@no>=0")
    with pytest.raises(UsageError, match="there is no number"):
        gate(report, "privacy.copys@yes<=1")


def test_a_name_is_checked_before_the_work():
    known = ["privacy.mia_excess", "rows.train"]
    check_gates(
        ["privacy.mia_excess@>50K<=0.1", "privacy.mia_excess@a@b<=1", "rows.train>1"], known
    )
    with pytest.raises(
        UsageError, match=r"'privacy\.mia_exces' here; close to it: privacy"
    ) as caught:
        check_gates(["rows.train>1", "privacy.mia_exces@all<=0.1"], known, "listed there")
    assert caught.value.code == 292
    assert "all are listed there" in str(caught.value)


def test_what_is_unknown_can_say_why():
    assert value_of(REPORT, "privacy.attack<=0") == "unknown"
    assert value_of(REPORT, "privacy.attack<=0", lambda name: f"no {name}") == "no privacy.attack"
    assert value_of(REPORT, "rows>1", lambda name: "unknown") == "100"
