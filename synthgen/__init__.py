"""Synthetic rows for the rare class of a table.

The public names below are loaded when they are first used (PEP 562), so `import synthgen` and
`synthgen --help` do not wait for torch, pandas or scikit-learn.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthgen.auditing import Audit, audit
    from synthgen.augmentation import Augmented, augment
    from synthgen.classifier import ImbalancedClassifier
    from synthgen.column import Column
    from synthgen.comparison import Comparison, compare
    from synthgen.drift import compare_audits
    from synthgen.encoding import Encoder
    from synthgen.errors import SynthgenError
    from synthgen.evaluating import Report, evaluate
    from synthgen.files import read_table, write_table
    from synthgen.oversampler import Oversampler
    from synthgen.sweeping import Sweep, sweep
    from synthgen.synthesizers.base import Synthesizer, load
    from synthgen.synthesizers.bootstrap import SmoothedBootstrap
    from synthgen.synthesizers.ctgan import CTGAN
    from synthgen.synthesizers.flow import TabFlow
    from synthgen.synthesizers.many import fit_many
    from synthgen.synthesizers.tvae import TVAE
    from synthgen.table import Schema, Table

    __version__: str

__all__ = [
    "CTGAN",
    "TVAE",
    "Audit",
    "Augmented",
    "Column",
    "Comparison",
    "Encoder",
    "ImbalancedClassifier",
    "Oversampler",
    "Report",
    "Schema",
    "SmoothedBootstrap",
    "Sweep",
    "Synthesizer",
    "SynthgenError",
    "TabFlow",
    "Table",
    "__version__",
    "audit",
    "augment",
    "compare",
    "compare_audits",
    "evaluate",
    "fit_many",
    "load",
    "read_table",
    "sweep",
    "write_table",
]

_HOME = {
    "CTGAN": "synthgen.synthesizers.ctgan",
    "Comparison": "synthgen.comparison",
    "TVAE": "synthgen.synthesizers.tvae",
    "Audit": "synthgen.auditing",
    "Augmented": "synthgen.augmentation",
    "Column": "synthgen.column",
    "Encoder": "synthgen.encoding",
    "ImbalancedClassifier": "synthgen.classifier",
    "Oversampler": "synthgen.oversampler",
    "Report": "synthgen.evaluating",
    "Schema": "synthgen.table",
    "SmoothedBootstrap": "synthgen.synthesizers.bootstrap",
    "Sweep": "synthgen.sweeping",
    "SynthgenError": "synthgen.errors",
    "Synthesizer": "synthgen.synthesizers.base",
    "TabFlow": "synthgen.synthesizers.flow",
    "Table": "synthgen.table",
    "audit": "synthgen.auditing",
    "augment": "synthgen.augmentation",
    "compare": "synthgen.comparison",
    "compare_audits": "synthgen.drift",
    "evaluate": "synthgen.evaluating",
    "fit_many": "synthgen.synthesizers.many",
    "load": "synthgen.synthesizers.base",
    "read_table": "synthgen.files",
    "sweep": "synthgen.sweeping",
    "write_table": "synthgen.files",
}


if not TYPE_CHECKING:  # pyright would take every name for a public one

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            value: object = version("synthgen")
        elif name in _HOME:
            from importlib import import_module

            value = getattr(import_module(_HOME[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
