"""The documentation: ``sphinx-build -W docs build/docs``, without network.

CI_FULL=1 also runs the examples named ``long_*.py``, and the notebook that judges several tables.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# One thread for each library, so that the time of a build says something on any machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A library's deprecation is not the reader's; mistakes of the documentation stop the build.
warnings.filterwarnings("ignore", category=DeprecationWarning)

import benchmark_page  # noqa: E402
import cli_page  # noqa: E402

from synthgen import __version__  # noqa: E402

project = "synthgen"
author = "The synthgen authors"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
exclude_patterns = ["benchmark.md", "examples/**", "gallery/*.ipynb", "jupyter_execute"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]

# --- prose and notebooks ----------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_excludepatterns = [] if os.environ.get("CI_FULL") else ["notebooks/judge.ipynb"]
nb_execution_cache_path = str(HERE.parent / "build" / "notebooks")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from the network

# --- reference --------------------------------------------------------------------------------

default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say what each argument takes
autodoc_member_order = "bysource"
# scikit-learn writes these, with references into its own documentation.
autodoc_default_options = {
    "exclude-members": "set_fit_request, set_score_request, set_fit_resample_request"
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# --- gallery ----------------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/(plot|long)_" if os.environ.get("CI_FULL") else r"/plot_",
    "ignore_pattern": r"__init__\.py",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_", "__repr__"),
    "download_all_examples": False,
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
}

# --- pages ------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = f"synthgen {release}"
html_static_path = ["_static"]
html_css_files = ["synthgen.css"]
html_extra_path = ["llms.txt"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars: dict[str, list[str]] = {
    name: []
    for name in ("index", "installation", "quickstart", "benchmark/index", "changelog", "house")
}
html_theme_options = {
    "logo": {"text": "synthgen"},
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "pygments_light_style": "default",
    "pygments_dark_style": "monokai",
}
html_context = {"default_mode": "auto"}
copyright = f"2026 {author}, Apache-2.0"

NETWORK = re.compile(r"""<(?:script|link|img)\b[^>]*?\b(?:src|href)=["']https?://[^"']+""")


def write_generated(app: Sphinx) -> None:
    """Write the pages that are made of the code and of evaluation/*.json."""
    (HERE / "reference" / "cli.md").write_text(cli_page.page(), encoding="utf-8")
    benchmark_page.write(HERE.parent / "evaluation", HERE / "benchmark")


def join_names(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]):
    """Arguments that share a sentence may need two lines; napoleon wants their names on one."""
    text = re.sub(r"(?m)^( +(?:\w+, )*\w+,)\n +((?:\w+, )*\w+: )", r"\1 \2", "\n".join(lines))
    lines[:] = text.split("\n")


def check_pages(app: Sphinx, exception: Exception | None) -> None:
    """No page asks the network for a part of itself, and llms.txt leads to pages that exist."""
    if exception is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    asking = [
        f"{page.relative_to(out)}: {found[0]}"
        for page in out.rglob("*.html")
        if (found := NETWORK.search(page.read_text(encoding="utf-8")))
    ]
    if asking:
        raise ExtensionError("pages that need the network:\n" + "\n".join(asking))
    linked = re.findall(r"\]\(([^)]+\.html)\)", (HERE / "llms.txt").read_text(encoding="utf-8"))
    lost = [name for name in linked if not (out / name).is_file()]
    if lost or not linked:
        raise ExtensionError(f"llms.txt leads to no page: {lost}")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_generated, priority=100)
    app.connect("autodoc-process-docstring", join_names, priority=400)
    app.connect("build-finished", check_pages)
