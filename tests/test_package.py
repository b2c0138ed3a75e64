"""The package as a whole: what it loads, what it ships, how its modules lean on each other."""

import ast
import bz2
import gzip
import hashlib
import inspect
import io
import json
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import is_dataclass
from email.parser import Parser
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest

import synthgen

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "synthgen"
PUBLIC = (PACKAGE / "__init__.pyi").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

HEAVY = {"imblearn", "pandas", "sdv", "sklearn", "torch"}
SOURCE_AVAILABLE = {"copulas", "ctgan", "deepecho", "rdt", "sdv"}  # under BUSL
ADULT_SHA256 = "38f6d78d6fcfa5294f5bcc83202a9be7aa7f7b174fe999e6ef3e0571bf2ba4a5"
DEMO_SHA256 = "71270808b32987e5f7659e6db4ccc23c05409823277cb3fd91cc1d1c37cdcf4b"
SDV_ADAPTER = "synthgen.synthesizers.sdv"

# The floors of the house, from the ground up. A subpackage, such as metrics, is one room.
FLOORS = [
    {"errors", "seeds", "progress", "threads"},
    {"tables"},
    {"encoding", "report"},
    {"training", "model_selection"},
    {"synthesizers"},
    {"metrics", "auditing"},
    {"augmentation", "exposure"},
    {"comparison", "scale"},
    {"cli", "__init__", "__main__"},
]
MOST_FLOORS = 10
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


# --- What an import loads -------------------------------------------------------------------


def run_python(*arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def run_and_list_modules(code: str) -> tuple[str, set[str]]:
    """What `code` prints in a fresh interpreter, and the top-level modules it leaves loaded."""
    output = run_python("-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")
    *printed, modules = output.splitlines()
    return "\n".join(printed), {name.partition(".")[0] for name in json.loads(modules)}


def test_import_loads_nothing_heavy():
    _, loaded = run_and_list_modules("import synthgen; synthgen.__version__; dir(synthgen)")
    assert "synthgen" in loaded
    assert not loaded & HEAVY


def test_help_loads_nothing_heavy():
    printed, loaded = run_and_list_modules(
        "import click\n"
        "from synthgen.cli.main import main\n"
        "main(['--help'], 'synthgen', standalone_mode=False)\n"
        "for name in main.list_commands(click.Context(main)):\n"
        "    main([name, '--help'], 'synthgen', standalone_mode=False)\n"
    )
    assert "Usage: synthgen [OPTIONS] COMMAND" in printed
    assert "Usage: synthgen augment" in printed
    assert not loaded & HEAVY


def test_python_m_is_the_command():
    assert run_python("-m", "synthgen", "--help").startswith("Usage: synthgen [OPTIONS] COMMAND")


# --- Public names ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(synthgen.__all__) - {"__version__"}))
def test_public_name_resolves_to_its_home(name: str):
    value = getattr(synthgen, name)
    assert value is getattr(import_module(value.__module__), name)
    assert f"from {value.__module__.removeprefix('synthgen')} import" in PUBLIC


def test_version_is_that_of_the_project():
    assert synthgen.__version__ == PROJECT["version"]


def test_public_names_are_listed():
    assert set(synthgen.__all__) <= set(dir(synthgen))


def test_no_public_name_is_also_a_module():
    # Importing the module would put it in the place of the public name.
    rooms = {module.removeprefix("synthgen.").partition(".")[0] for module in modules()}
    assert not rooms & set(synthgen.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No synthgen attribute CTGANN"):
        _ = synthgen.CTGANN  # pyright: ignore[reportAttributeAccessIssue]


# --- Imports between modules ----------------------------------------------------------------


def modules() -> dict[str, Path]:
    """Every module of the package, by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, *, typing: bool = True) -> Iterator[tuple[str, int]]:
    """The absolute dotted names that a module imports anywhere in its code, with the line.

    Args:
        typing: Whether to list what is imported for the type checker only, and never runs.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    unrun = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in unrun and not typing:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*(base if node.level else []), node.module or ""]).strip(".")
            for alias in node.names:
                yield f"{source}.{alias.name}", node.lineno
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in {"__import__", "import_module"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value), node.lineno


def internal_imports(*, typing: bool = True) -> Iterator[tuple[str, str, int]]:
    """Each import of one module of the package by another: importer, imported, line."""
    known = modules()
    for name, path in known.items():
        if name == "synthgen":
            continue  # its imports are for pyright only and load nothing
        for target, line in imports(name, path, typing=typing):
            if target == "synthgen.__version__":
                continue  # comes from the installed metadata, not from a module
            while target and target not in known:
                target = target.rpartition(".")[0]
            if target and target != name:
                yield name, target, line


def room(module: str) -> str:
    return "__init__" if module == "synthgen" else module.split(".")[1]


def test_every_module_has_a_floor():
    assert len(FLOORS) <= MOST_FLOORS
    without = {name for name in modules() if room(name) not in FLOOR_OF}
    assert not without, f"give {sorted(without)} a place in FLOORS, and in the design"


def test_no_import_goes_up():
    up = [
        f"{importer}:{line} imports {imported}"
        for importer, imported, line in internal_imports()
        if FLOOR_OF.get(room(imported), 0) > FLOOR_OF.get(room(importer), 0)
    ]
    assert not up, "\n".join(up)


def test_no_import_goes_in_a_circle():
    # A page names the type of the result that it draws, and the result imports its page to draw
    # itself: such a name, for the type checker only, is no circle of what runs.
    graph: dict[str, set[str]] = {}
    for importer, imported, _ in internal_imports(typing=False):
        graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_only_the_adapter_imports_sdv_and_its_kin():
    importers = {
        f"{name}:{line} imports {target}"
        for name, path in modules().items()
        if name != SDV_ADAPTER
        for target, line in imports(name, path)
        if target.partition(".")[0] in SOURCE_AVAILABLE
    }
    assert not importers


# --- Length ---------------------------------------------------------------------------------

LONGEST_MODULE, LONGEST_FUNCTION = 500, 60  # lines, of functions without their docstring


def longest() -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """The lines and names of all modules and of all functions, the longest first.

    Docstrings of functions do not count: who describes every argument should not have to split a
    function of ten lines.
    """
    long_modules, functions = [], []
    for name, path in modules().items():
        text = path.read_text()
        long_modules.append((len(text.splitlines()), name))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
                functions.append((lines, f"{name}:{node.name}"))
    return sorted(long_modules, reverse=True), sorted(functions, reverse=True)


def test_no_module_and_no_function_is_too_long():
    """Run with ``pytest -s`` to see the five longest of each."""
    long_modules, functions = longest()
    for what, found in (("modules", long_modules), ("functions", functions)):
        print(f"\nThe five longest {what}:")
        for lines, name in found[:5]:
            print(f"  {lines:4d}  {name}")
    too_long = [f"{name}: {lines}" for lines, name in long_modules if lines > LONGEST_MODULE]
    too_long += [f"{name}: {lines}" for lines, name in functions if lines > LONGEST_FUNCTION]
    assert not too_long, "\n".join(too_long)


# --- Classes and signatures -----------------------------------------------------------------


def classes() -> set[type]:
    """Every class that a module of the package defines at its top."""
    found = set()
    for name in modules():
        if not name.endswith("__main__"):
            module = import_module(name)
            found |= {c for c in vars(module).values() if isinstance(c, type)}
    return {c for c in found if c.__module__.partition(".")[0] == "synthgen"}


def test_classes_are_abstract_or_final():
    # Errors are a tree on purpose: who catches the base catches all.
    open_ones = {
        f"{base.__qualname__}, of which {each.__qualname__} is made"
        for each in classes()
        for base in each.__bases__
        if base.__module__.partition(".")[0] == "synthgen"
        and not isabstract(base)
        and not issubclass(base, Exception)
    }
    assert not open_ones, "\n".join(sorted(open_ones))


def test_no_code_asks_hasattr():
    asking = [
        f"{name}:{node.lineno}"
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr"
    ]
    assert not asking, "\n".join(asking)


def public_values() -> Iterator[tuple[str, Any]]:
    """Every public function, class and public method of the package's own."""
    for name in sorted(set(synthgen.__all__) - {"__version__"}):
        value = getattr(synthgen, name)
        yield name, value
        if isinstance(value, type):
            for method, found in inspect.getmembers(value, inspect.isroutine):
                home = str(getattr(found, "__module__", ""))
                if not method.startswith("_") and home.partition(".")[0] == "synthgen":
                    yield f"{name}.{method}", found


def test_public_signatures_say_what_they_take():
    vague = [
        name
        for name, value in public_values()
        if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(value).parameters.values())
    ]
    assert not vague


def lacking(name: str, value: Any) -> list[str]:
    """The sections that the docstring of a public function, class or method lacks.

    A dataclass describes its arguments under "Attributes:"; a method may inherit its docstring.
    """
    text, signature = inspect.getdoc(value) or "", inspect.signature(value)
    sections = set(re.findall(r"^(\w+):$", text, re.MULTILINE))
    missing = []
    takes = "Attributes" if is_dataclass(value) else "Args"
    if set(signature.parameters) - {"self"} and takes not in sections:
        missing.append(takes)
    gives = signature.return_annotation not in {None, "None", inspect.Signature.empty}
    if gives and not isinstance(value, type) and not sections & {"Returns", "Yields"}:
        missing.append("Returns")
    if "." not in name and not ("Example" in sections and ">>> " in text):
        missing.append("Example")
    return missing


def test_public_docstrings_have_their_sections():
    found = {name: lacking(name, value) for name, value in public_values()}
    assert len(found) > 100
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_a_docstring_without_sections_is_found():
    def bare(rows: int) -> int:
        """Say nothing, as in the Example: of a page."""
        return rows

    assert lacking("bare", bare) == ["Args", "Returns", "Example"]
    assert lacking("Table.bare", bare) == ["Args", "Returns"]


# Done in a moment: there is nothing to show.
QUICK = {"Encoder", "PrivateMarginals", "SmoothedBootstrap", "compare_audits", "load"}
QUICK |= {"read_table", "write_table"}


def test_what_takes_long_shows_its_progress_if_asked():
    """Functions, and classes that are fitted."""
    verbose = {
        name: inspect.signature(value).parameters.get("verbose")
        for name in set(synthgen.__all__) - {"__version__"}
        for value in (getattr(synthgen, name),)
        if inspect.isfunction(value) or (getattr(value, "fit", None) and not isabstract(value))
    }
    assert {name for name, parameter in verbose.items() if parameter is None} == QUICK
    given = [parameter for parameter in verbose.values() if parameter is not None]
    assert {(p.kind, p.default) for p in given} == {(inspect.Parameter.KEYWORD_ONLY, False)}


# --- What is shipped ------------------------------------------------------------------------


def build(kind: str, folder: Path) -> Path:
    # Without isolation the build needs no download: the test extra brings hatchling.
    run_python("-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files in a freshly built wheel, by name."""
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata_folder() -> str:
    return f"{PROJECT['name']}-{PROJECT['version']}.dist-info"


def test_wheel_holds_the_package_and_nothing_else(wheel: dict[str, bytes], metadata_folder: str):
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel if not name.startswith(f"{metadata_folder}/")} == sources


def test_wheel_holds_the_files_that_are_not_code(wheel: dict[str, bytes]):
    assert {
        "synthgen/py.typed",
        "synthgen/data/ATTRIBUTION.md",
        "synthgen/data/hypothyroid.csv.gz",
    } <= set(wheel)
    assert [name for name in wheel if name.endswith((".html", ".html.j2", ".html.jinja"))]
    no_code = {name: len(data) for name, data in wheel.items() if not name.endswith(".py")}
    assert sum(no_code.values()) < 200_000, no_code


def test_wheel_metadata(wheel: dict[str, bytes], metadata_folder: str):
    metadata = Parser().parsestr(wheel[f"{metadata_folder}/METADATA"].decode())
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in wheel[f"{metadata_folder}/licenses/LICENSE"].decode()
    assert "sdv<3,>=2" in needed
    # An exact version would fight with whatever else the user has installed.
    assert not [line for line in needed if "==" in line]
    assert b"synthgen = synthgen.cli.main:main" in wheel[f"{metadata_folder}/entry_points.txt"]


def test_wheel_carries_the_table_of_the_demo(wheel: dict[str, bytes]):
    text = bz2.decompress(wheel["synthgen/data/adult.csv.bz2"])
    assert hashlib.sha256(text).hexdigest() == ADULT_SHA256
    frame = pd.read_csv(io.BytesIO(text))
    assert frame.shape == (7500, 14)
    assert frame["income"][:5000].value_counts().to_dict() == {"<=50K": 3777, ">50K": 1223}
    assert frame["income"][5000:].value_counts().to_dict() == {"<=50K": 1877, ">50K": 623}
    told = wheel["synthgen/data/ATTRIBUTION.md"].decode()
    assert all(doi in told for doi in ("10.24432/C5XW20", "10.24432/C5D010"))


def test_wheel_carries_the_demonstration_table(wheel: dict[str, bytes]):
    packed = wheel["synthgen/data/hypothyroid.csv.gz"]
    assert packed[3:8] == bytes(5)  # no file name and no time stamp: the same bytes every time
    text = gzip.decompress(packed)
    assert hashlib.sha256(text).hexdigest() == DEMO_SHA256
    frame = pd.read_csv(io.BytesIO(text))
    assert frame.shape == (3163, 26)
    assert frame["target"].value_counts().to_dict() == {"negative": 3012, "hypothyroid": 151}
    assert frame["age"].isna().sum() == 446
    assert frame["sex"].isna().sum() == 73
    assert frame["TBG"].isna().sum() == 2903
    assert frame.isna().sum().sum() == 5329


def test_sdist_holds_what_a_rebuild_and_its_tests_need(tmp_path: Path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name.partition("/")[0] for name in names} == {
        ".gitignore",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "SECURITY.md",
        "configs",
        "constraints-lowest.txt",
        "docs",
        "evaluation",
        "models",
        "pyproject.toml",
        "requirements-without-sdv.txt",
        "synthgen",
        "tests",
    }
    assert {"tests/test_package.py", "docs/conf.py", "docs/picture.png"} <= names
    # What a build of the documentation writes is made again from the rest.
    assert not [name for name in names if name.startswith(GENERATED)]


def test_top_level_of_the_repository():
    # Without the history, in an unpacked sdist, there is nothing to ask.
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git repository")
    tracked = listed.stdout.splitlines()
    assert {name.partition("/")[0] for name in tracked} == {
        ".ci",
        ".gitignore",
        ".pre-commit-config.yaml",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "configs",
        "constraints-lowest.txt",
        "docs",
        "evaluation",
        "models",
        "pyproject.toml",
        "requirements-without-sdv.txt",
        "synthgen",
        "tests",
    }
    assert not [name for name in tracked if name.startswith(GENERATED)]


# --- What installs and what is cited ---------------------------------------------------------

GENERATED = ("docs/benchmark/", "docs/gallery/", "docs/reference/generated/", "docs/reference/cli")


def lines_of(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_requirements_without_sdv_are_all_others():
    wanted = [line for line in PROJECT["dependencies"] if not line.startswith("sdv")]
    assert lines_of("requirements-without-sdv.txt") == wanted


def test_constraints_are_the_lower_bounds_of_all_but_torch():
    bounds = dict(line.split(",")[0].split(">=") for line in PROJECT["dependencies"])
    pinned = dict(line.split("==") for line in lines_of("constraints-lowest.txt"))
    assert set(pinned) == set(bounds) - {"torch"}
    # 15 and 15.0 are the same version.
    assert not [name for name in pinned if f"{pinned[name]}.0".find(f"{bounds[name]}.") != 0]


def test_citation_is_of_this_version():
    assert f"version: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()


# --- The README -----------------------------------------------------------------------------

FENCE = re.compile(r"^```([\w+-]*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
SHELLS = {"bash", "console", "sh", "shell"}


def readme_blocks(*languages: str) -> list[tuple[int, str]]:
    """The fenced blocks in these languages: the line on which the code starts, and the code."""
    text = (ROOT / "README.md").read_text()
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in FENCE.finditer(text)
        if match[1] in languages
    ]


def shell_commands(code: str) -> Iterator[list[str]]:
    """The words of every simple command, without redirections."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for token in lexer:
            if token in {">", ">>", "<"}:
                next(lexer, None)
            elif set(token) <= set("&|;()"):
                yield words
                words = []
            else:
                words.append(token)
        yield words


def synthgen_commands(code: str) -> Iterator[list[str]]:
    """The arguments of every `synthgen` command in shell code."""
    for words in shell_commands(code):
        if words[:3] == ["python", "-m", "synthgen"]:
            yield words[3:]
        elif words[:1] == ["synthgen"]:
            yield words[1:]


def check_arguments(arguments: list[str]) -> None:
    """Raise click.UsageError unless the command line understands the arguments.

    Nothing is run and no file need exist, so this checks names, counts and plain values only.
    """
    from synthgen.cli.main import main

    context = click.Context(main, info_name="synthgen")
    options, rest, _ = main.make_parser(context).parse_args(list(arguments))
    if options.get("help") or options.get("version"):
        return
    if not rest:
        raise click.UsageError("no command")
    command = main.get_command(context, rest[0])
    if command is None:
        raise click.UsageError(f"no such command: {rest[0]}")
    context = click.Context(command, parent=context, info_name=rest[0])
    values, extra, _ = command.make_parser(context).parse_args(rest[1:])
    if values.get("help"):
        return
    if extra:
        raise click.UsageError(f"unexpected arguments: {extra}")
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if value is None or parameter.value_is_missing(value):
            if parameter.required:
                raise click.UsageError(f"missing: {parameter.name}")
        elif not isinstance(parameter.type, click.Path | click.File):
            parameter.type_cast_value(context, value)


def test_reference_lists_every_public_name():
    lines = {line.strip() for line in (ROOT / "docs/reference/api.rst").read_text().splitlines()}
    assert set(synthgen.__all__) - {"__version__"} <= lines


def test_readme_fits_on_three_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", ["README.md", "docs/house.md"])
def test_drawing_of_the_house_has_one_line_for_each_floor(page: str):
    (drawing,) = re.findall(r"^```text\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    lines = [re.split("  +", line, maxsplit=2) for line in drawing.splitlines()]
    drawn = {int(number): sorted(rooms.split(", ")) for number, rooms, _ in lines}
    floors = [[name for name in floor if not name.startswith("__")] for floor in FLOORS]
    assert list(drawn) == [*range(len(FLOORS), 0, -1)]
    assert drawn == {number: sorted(floor) for number, floor in enumerate(floors, 1)}
    assert drawing in (ROOT / "README.md").read_text(), "the two drawings differ"


def test_readme_leads_to_files_that_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 10
    assert not [link for link in links if not (ROOT / link).is_file()]


def test_readme_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocks = readme_blocks("python", "py")
    assert blocks
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "readme"}  # shared: a later block may go on from an earlier one
    for line, code in blocks:
        # The empty lines make a traceback name the line in the README.
        exec(compile("\n" * (line - 1) + code, str(ROOT / "README.md"), "exec"), namespace)


def test_readme_commands_are_understood():
    commands = [
        (line, arguments)
        for line, code in readme_blocks(*SHELLS)
        for arguments in synthgen_commands(code)
    ]
    assert commands
    wrong = []
    for line, arguments in commands:
        try:
            check_arguments(arguments)
        except click.UsageError as error:
            wrong.append(f"README.md, block at line {line}: {arguments}: {error.format_message()}")
    assert not wrong, "\n".join(wrong)


def test_readme_shows_both_setup_commands_and_every_command():
    from synthgen.cli.main import main

    code = "\n".join(block for _, block in readme_blocks(*SHELLS))
    assert "pip install . && synthgen demo" in code
    assert "pip install '.[test]' && pytest" in code
    shown = {arguments[0] for arguments in synthgen_commands(code) if arguments}
    assert set(main.list_commands(click.Context(main))) <= shown


@pytest.mark.parametrize(
    "line",
    [
        "synthgen",
        "synthgen no-such-command",
        "synthgen augment data.csv --target y -o out.csv --no-such-option",
        "synthgen augment data.csv another.csv --target y -o out.csv",
        "synthgen augment data.csv -o out.csv",
        "synthgen augment data.csv --target y -o out.csv --seed x",
        "cd folder && python -m synthgen augment --target y -o out.csv > log.txt",
    ],
)
def test_the_check_of_commands_refuses(line: str):
    (arguments,) = synthgen_commands(line)
    with pytest.raises(click.UsageError):
        check_arguments(arguments)
