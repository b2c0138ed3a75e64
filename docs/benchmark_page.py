"""The benchmark: pages and figures made of evaluation/*.json, and of figures that others published.

No figure is typed here but the published ones. A table is left out while its file is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t

# arXiv 2603.23016, which ran all methods again on one GPU: shape error %, trend error %, XGB-C2ST
# to the training rows, TSTR AUC; seconds of training and sampling are known for Adult only.
PUBLISHED = {
    "adult": {
        "TabSyn": (0.79, 2.05, 0.794, 0.910, 3083 + 5.0),
        "TabDiff": (0.68, 1.54, 0.841, 0.913, 11605 + 10.8),
        "TabPC": (0.58, 1.44, 0.855, 0.916, 272 + 38.9),
    },
    "magic": {
        "TabSyn": (0.98, 0.82, 0.760, 0.937, None),
        "TabDiff": (0.80, 0.84, 0.773, 0.936, None),
        "TabPC": (0.98, 1.70, 0.860, 0.932, None),
    },
    "default_credit": {
        "TabSyn": (1.32, 2.88, 0.402, 0.759, None),
        "TabDiff": (1.16, 2.74, 0.591, 0.763, None),
        "TabPC": (0.54, 5.04, 0.262, 0.744, None),
    },
}
WORDS = {
    "adult": "Adult",
    "magic": "Magic",
    "default_credit": "Default",
    "width 256": "TabFlow",
    "tabflow": "TabFlow",
    "trees": "SequentialTrees",
    "tvae": "TVAE",
    "ctgan": "CTGAN",
    "bootstrap": "SmoothedBootstrap",
    "smote_nc": "SMOTE-NC",
    "smote-nc": "SMOTE-NC",
    "real": "*real rows*",
    "independent": "*independent columns*",
    "fresh": "*further real rows*",
    "train": "*the training rows themselves*",
    "shuffled": "*each column shuffled by itself*",
    "sdv:GaussianCopula": "SDV's GaussianCopula",
    "GaussianCopula": "SDV's GaussianCopula",
    "TVAE of SDV": "SDV's TVAE",
}


def named(name: str) -> str:
    """What a table or method is called on the page."""
    return WORDS.get(name, name)


def write(source: Path, folder: Path) -> None:
    """Write ``index.md`` and its figure.

    Args:
        source: The folder of the JSON files.
        folder: Where the page goes; it is made.
    """
    folder.mkdir(exist_ok=True)
    files = {path.stem: json.loads(path.read_text()) for path in sorted(source.glob("*.json"))}
    whole = files["published"]["results"] + trees_of(source / "bars.jsonl")
    pareto(whole, folder / "pareto.png")
    template = Path(__file__).with_name("benchmark.md").read_text(encoding="utf-8")
    for name, table in (
        ("published", published(whole)),
        ("battery", battery(files["battery"])),
        ("peers", peers(source / "peers.jsonl")),
        ("adult", adult(files["evaluate_adult"]["results"])),
        ("rare", rare(files["transfer"])),
        ("learners", learners(files["benchmark"]) if "benchmark" in files else ""),
        ("speed", speed(files["speed"])),
        ("scale", scale(files["scale"])),
    ):
        template = template.replace(f"<!-- {name} -->", table)
    (folder / "index.md").write_text(template, encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value: float | None, digits: int = 2) -> str:
    """A number, or nothing where there is none."""
    return "" if value is None else f"{value:,.{digits}f}"


def mean(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    """Mean over seeds of what was measured; None where nothing was."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(values)) if values else None


def groups(
    results: Sequence[dict[str, Any]], *names: str
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """The results by the values of these fields, in the order in which they come."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault(tuple(result[name] for name in names), []).append(result)
    return found


# --- whole tables -----------------------------------------------------------------------------


def seconds_of(rows: Sequence[dict[str, Any]]) -> float | None:
    """Seconds of fit and sample."""
    parts = [mean(rows, "fit s"), mean(rows, "sample s")]
    return None if parts[0] is None else sum(part or 0 for part in parts)


def trees_of(path: Path) -> list[dict[str, Any]]:
    """The runs of trees on whole tables, in the form of those of ``published.json``."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        found
        | {"variant": "SequentialTrees", "tstr": found["tstr xgboost"]}
        | {"fit s": found["cpu seconds"], "sample s": 0.0}
        for found in lines
        if found["bar"] == "whole" and found["kind"] == "trees"
    ]


def published(results: Sequence[dict[str, Any]]) -> str:
    """The published protocol: ours, and what others published."""
    rows: list[list[object]] = []
    found = groups(results, "table", "variant")
    for name, methods in PUBLISHED.items():
        for (of, variant), runs in found.items():
            if of != name:
                continue
            digits = (("shape", 2), ("trend", 2), ("c2st train", 3), ("c2st test", 3), ("tstr", 3))
            seconds = seconds_of(runs)
            rows.append(
                [
                    named(name),
                    named(variant),
                    *(number(mean(runs, key), n) for key, n in digits),
                    number(mean(runs, "nearer"), 3),
                    f"{seconds:,.0f}, one core" if seconds is not None else "",
                    len(runs),
                ]
            )
        for method, (shape, trend, c2st, tstr, seconds) in methods.items():
            took = "" if seconds is None else f"{seconds:,.0f}, GPU"
            rows.append([named(name), f"{method} (published)", shape, trend, c2st, "", tstr, ""])
            rows[-1] += [took, 5]
    head = ["table", "method", "shape error %", "trend error %", "two-sample score, train"]
    head += ["the same, test", "TSTR AUC", "nearer to train", "seconds", "seeds"]
    return table(head, rows)


def pareto(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Fidelity against seconds on Adult, where the time of others is known."""
    points = [
        (named(variant), seconds, mean(runs, "c2st train"), True)
        for (name, variant), runs in groups(results, "table", "variant").items()
        if name == "adult" and (seconds := seconds_of(runs)) is not None
    ]
    for method, (_, _, c2st, _, seconds) in PUBLISHED["adult"].items():
        points.append((method, seconds, c2st, False))
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, seconds, score, own in points:
        colour = "#d9622b" if own else "#1f5fa8"
        axes.scatter(seconds, score, s=45, color=colour)
        axes.annotate(
            name, (seconds, score), xytext=(6, 5), textcoords="offset points", color=colour
        )
    axes.set_xscale("log")
    axes.set_xlim(1, 200_000)
    axes.set_ylim(0, 1.08)
    axes.set_xlabel(
        "seconds to fit and sample Adult (orange: one CPU core; blue: published, on a GPU)"
    )
    axes.set_ylabel("two-sample score (1: never told apart)")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def battery(results: Sequence[dict[str, Any]]) -> str:
    """What each detector says; the smallest is the headline."""
    detectors = ("boosting", "arithmetic", "mlp", "neighbours")
    rows = []
    for result in results:
        values = []
        for name in detectors:
            low, high = result[name]["interval"]
            values.append(f"{result[name]['value']:.2f} [{low:.2f}, {high:.2f}]")
        took = result.get("seconds")
        what = named(result["rows"])
        if prototype := result.get("prototype"):
            what = f"prototype of {what} ({prototype})"
        rows.append(
            [
                named(result["table"]),
                what,
                *values,
                f"**{result['minimum']:.2f}**",
                "" if took is None else f"{took:,.0f}",
            ]
        )
    head = ["table", "rows", "boosting", "differences, repeats, digits", "MLP", "neighbours"]
    return table([*head, "smallest", "seconds to make"], sorted(rows, key=lambda row: row[0]))


# --- other packages ---------------------------------------------------------------------------


def of_peer(name: str) -> str:
    """synthgen's own in bold; `ctgan` is the package of that name."""
    if name.startswith("synthgen "):
        return f"**{named(name.removeprefix('synthgen '))}**"
    return name if name == "ctgan" else named(name)


def across(values: Sequence[float], digits: int = 2) -> str:
    """Mean over tables with its 95 % t-interval."""
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    middle = float(np.mean(values))
    spread = f"[{middle - half:+.{digits}f}, {middle + half:+.{digits}f}]"
    return f"{middle:+.{digits}f} {spread}"


def peers(path: Path) -> str:
    """Other packages beside synthgen: means over tables, and each table; failures in words."""
    results = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    tables = list(dict.fromkeys(r["table"] for r in results))
    found = {key: runs[0] for key, runs in groups(results, "peer", "table").items()}
    names = list(dict.fromkeys(r["peer"] for r in results))
    figures = {
        "to train": lambda r: r["c2st train"],
        "to held-out": lambda r: r["c2st test"],
        "battery": lambda r: r["battery"]["minimum"],
        "AUC kept, %": lambda r: 100 * r["tstr"] / r["tstr real"],
        "nearer to train": lambda r: r["nearer"],
    }
    means: list[tuple[float, list[str]]] = []
    each: list[list[str]] = []
    failed: list[str] = []
    for name in names:
        runs = {table: found[name, table] for table in tables if (name, table) in found}
        done = {table: r for table, r in runs.items() if "failed" not in r}
        failed += [
            f"- {of_peer(name)}, {named(r['table'])}: {r['failed']}"
            for r in runs.values()
            if "failed" in r
        ]
        cells = [
            f"{done[table]['c2st test']:.2f} / {done[table]['battery']['minimum']:.2f}"
            if table in done
            else ("failed" if table in runs else "")
            for table in tables
        ]
        each.append([of_peer(name), *cells])
        if len(done) < len(tables):
            continue
        mean_of = {
            what: float(np.mean([get(r) for r in done.values()])) for what, get in figures.items()
        }
        less = [
            figures["battery"](done[table]) - figures["battery"](found["synthgen trees", table])
            for table in tables
        ]
        took = [r["fit cpu s"] + r["sample cpu s"] for r in done.values() if "fit cpu s" in r]
        shown = [f"{mean_of[what]:.{1 if what.endswith('%') else 2}f}" for what in figures]
        shown.insert(3, "" if name == "synthgen trees" else across(less))
        seconds = f"{np.mean(took):,.1f}" if took else ""
        means.append((mean_of["battery"], [of_peer(name), *shown, seconds]))
    head = ["rows of", *figures, "CPU seconds"]
    head.insert(4, "battery less that of SequentialTrees")
    ordered = [row for _, row in sorted(means, key=lambda item: -item[0])]
    used = {
        r["peer"]: r["version"]
        for r in results
        if "version" in r and not r["peer"].startswith("synthgen ")
    }
    versions = ", ".join(f"{of_peer(name)} {version}" for name, version in used.items())
    return "\n\n".join(
        [
            table(head, ordered),
            "By table: published score to held-out rows / smallest of the battery; blank: not run.",
            table(["rows of", *map(named, tables)], each),
            *(["Failures:\n\n" + "\n".join(failed)] if failed else []),
            f"Versions of the packages: {versions}.",
        ]
    )


# --- the rare class ---------------------------------------------------------------------------


def adult(results: dict[str, Any]) -> str:
    """What `evaluate` says of rows of Adult's >50K."""
    wanted = {
        "to the holdout": "fidelity.c2st_boosting_holdout of >50K",
        "pair trends": "fidelity.pair_trends of >50K",
        "AP kept in the place of real rows": "utility.replace.ap_ratio of boosting",
        "AP when added": "utility.augment.ap_gain of boosting",
        "worst attack above fresh rows": "privacy.mia_excess of >50K",
    }
    rows = []
    for case, found in results.items():
        scores = found["scores"]
        cells = [
            scores[name].partition(", real rows")[0] if name in scores else ""
            for name in wanted.values()
        ]
        rows.append([named(case), *cells, f"{found['seconds_to_make']:,.0f}"])
    return table(["rows", *wanted, "seconds to make"], rows)


def short(source: Path = Path(__file__).parents[1] / "evaluation") -> str:
    """The table of the README: rows of Adult's >50K in four figures."""
    results = json.loads((source / "evaluate_adult.json").read_text())["results"]
    wanted = ("c2st_boosting_holdout of >50K", "ap_ratio of boosting", "mia_excess of >50K")
    names = [
        f"{part}.{name}"
        for part, name in zip(("fidelity", "utility.replace", "privacy"), wanted, strict=True)
    ]
    rows = []
    for case, found in results.items():
        figures = []
        for name in names:
            value, low, high = (
                float(v) for v in re.findall(r"-?[\d.]+", found["scores"][name])[:3]
            )
            figures.append(f"{value:.2f} [{low:.2f}, {high:.2f}]")
        rows.append([named(case), *figures, f"{found['seconds_to_make']:,.0f} s"])
    head = ["rows", "two-sample score (1: like real rows)", "AP kept in place of real rows"]
    return table([*head, "worst attack, above fresh rows", "to make"], rows)


def rare(results: Sequence[dict[str, Any]]) -> str:
    """Rows of a rare class on many tables: faithful, useful, private?"""
    shown = ("tabflow", "tvae", "ctgan", "bootstrap", "smote-nc", "copies", "sdv:GaussianCopula")
    shown += ("nothing",)
    rows = []
    for (size, method), runs in sorted(
        groups(results, "rows", "method").items(),
        key=lambda item: (item[0][0], shown.index(item[0][1]) if item[0][1] in shown else 99),
    ):
        if method not in shown:
            continue
        by_table = groups(runs, "table").values()

        def of(name: str, cells: Iterable[list[dict[str, Any]]] = by_table) -> str:
            means = [value for cell in cells if (value := mean(cell, name)) is not None]
            return f"{np.mean(means):.3f}" if means else ""

        what = "*the training rows themselves*" if method == "nothing" else named(method)
        names = ("c2st", "replace", "excess", "nearer")
        rows.append([size, what, len(by_table), *map(of, names)])
    head = ["rows of the class", "method", "tables", "two-sample score"]
    head += ["AP when they replace the real rows", "worst attack above fresh rows"]
    return table([*head, "nearer to train"], rows)


LEARNERS = """## Which learner finds a rare class

`python evaluation/benchmark.py --data-dir DIR`, then `python evaluation/benchmark.py report`

Average precision less that of default boosting, no synthetic row anywhere; t-intervals over the
means of tables. `auto` averages the learners that rank best out of fold. Its design was chosen on
these tables, so the last line counts: there each design was chosen on two thirds of the tables and
judged on the others.

"""


def learners(found: dict[str, Any]) -> str:
    """Which learner ranks a rare class best, with the size of the class."""
    sizes = ("10", "30", "100", "300", "10 to 100")

    def cell(of: dict[str, Any] | None) -> str:
        return (
            f"{of['mean']:+.3f} [{of['low']:+.3f}, {of['high']:+.3f}]"
            if of and of["tables"]
            else ""
        )

    rows: list[list[object]] = [
        [name, *(cell(by_size.get(size)) for size in sizes), by_size["10 to 100"]["tables"]]
        for name, by_size in found["less boosting"].items()
    ]
    nested = found["nested"]["less boosting"]
    rows.append(["**chosen on other tables**", "", "", "", "", f"**{cell(nested)}**"])
    rows[-1].append(nested["tables"])
    head = ["learner", *(f"{size} rows" for size in sizes), "tables"]
    return LEARNERS + table(head, rows)


# --- speed ------------------------------------------------------------------------------------


def speed(found: dict[str, Any]) -> str:
    """Beside the usual package, one thread, CPU time."""
    rows = []
    for name in ("ctgan", "tvae"):
        ours, theirs = found["results"][name]["synthgen"], found["results"][name]["ctgan"]
        for words, mine, its, digits in (
            ("encode the table, s", "encode_s", "encode_s", 2),
            ("one update, ms", "step_ms", "step_ms", 1),
            ("300 epochs, s", "epochs_300_s", "epochs_300_s_reckoned", 0),
            ("sample 100,000 rows, s", "sample_100000_s", "sample_100000_s", 2),
        ):
            a, b = ours.get(mine), theirs.get(its)
            if a is None or b is None:
                continue
            rows.append(
                [named(name), words, number(a, digits), number(b, digits), f"{b / a:.1f} times"]
            )
    return table(["network", "", "synthgen", "ctgan 0.12.1", "quicker"], rows)


def scale(results: Sequence[dict[str, Any]]) -> str:
    """Rows made into a folder, by one process and by engines; then a table that is a stream."""
    rows = [
        [
            f"{found['rows']:,}",
            found["maker"],
            str(found["workers"]),
            number(found["seconds"], 0),
            number(found["cpu_seconds"], 0),
            number(found["peak_mib"], 0),
        ]
        for found in results
        if {"maker", "workers", "cpu_seconds", "peak_mib"} <= found.keys()
    ]
    stream = next(found for found in results if found.get("augment") == "parquet")
    size, seconds = f"{stream['bytes'] / 1e6:,.0f} MB of Parquet", f"{stream['seconds']:.0f} s"
    return (
        table(["rows", "made by", "workers", "seconds", "CPU seconds", "memory of all, MiB"], rows)
        + f"\n\n`augment` of {stream['rows']:,} rows (`--augment 2e7`, {size}) takes {seconds} and "
        f"{stream['peak_mib']:,} MiB; without the fit, {stream['times_the_copy']:.1f} times as "
        f"long as a copy by Arrow."
    )
