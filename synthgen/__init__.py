"""Synthetic rows for the rare class of a table.

The public names below are loaded when they are first used (PEP 562), so `import synthgen` and
`synthgen --help` do not wait for torch, pandas or scikit-learn.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthgen.auditing.audit import Audit, audit
    from synthgen.auditing.drift import compare_audits
    from synthgen.augmentation.augment import augment
    from synthgen.augmentation.augmented import Augmented
    from synthgen.augmentation.oversampled import OversampledClassifier
    from synthgen.augmentation.oversampler import Oversampler
    from synthgen.comparison.classifier import ImbalancedClassifier
    from synthgen.comparison.compare import compare
    from synthgen.comparison.comparison import Comparison
    from synthgen.comparison.sweep import Sweep, sweep
    from synthgen.encoding.encoder import Encoder
    from synthgen.errors import SynthgenError
    from synthgen.exposure.found import PrivacyAudit
    from synthgen.exposure.release import privacy
    from synthgen.metrics.evaluate import evaluate
    from synthgen.metrics.report import Report
    from synthgen.scale.dataset import sample_dataset
    from synthgen.synthesizers.base import Synthesizer
    from synthgen.synthesizers.bootstrap import SmoothedBootstrap
    from synthgen.synthesizers.ctgan import CTGAN
    from synthgen.synthesizers.fit_many import fit_many
    from synthgen.synthesizers.flow import TabFlow
    from synthgen.synthesizers.lookup import load
    from synthgen.synthesizers.marginals import PrivateMarginals
    from synthgen.synthesizers.trees import SequentialTrees
    from synthgen.synthesizers.tvae import TVAE
    from synthgen.tables.column import Column
    from synthgen.tables.read import read_table
    from synthgen.tables.schema import Schema
    from synthgen.tables.table import Table
    from synthgen.tables.write import write_table

    __version__: str
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


__all__ = [
    "CTGAN",
    "TVAE",
    "Audit",
    "Augmented",
    "Column",
    "Comparison",
    "Encoder",
    "ImbalancedClassifier",
    "OversampledClassifier",
    "Oversampler",
    "PrivacyAudit",
    "PrivateMarginals",
    "Report",
    "Schema",
    "SequentialTrees",
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
    "privacy",
    "read_table",
    "sample_dataset",
    "sweep",
    "write_table",
]

_HOME = {
    "CTGAN": "synthgen.synthesizers.ctgan",
    "Comparison": "synthgen.comparison.comparison",
    "TVAE": "synthgen.synthesizers.tvae",
    "Audit": "synthgen.auditing.audit",
    "Augmented": "synthgen.augmentation.augmented",
    "Column": "synthgen.tables.column",
    "Encoder": "synthgen.encoding.encoder",
    "ImbalancedClassifier": "synthgen.comparison.classifier",
    "OversampledClassifier": "synthgen.augmentation.oversampled",
    "Oversampler": "synthgen.augmentation.oversampler",
    "PrivacyAudit": "synthgen.exposure.found",
    "PrivateMarginals": "synthgen.synthesizers.marginals",
    "Report": "synthgen.metrics.report",
    "Schema": "synthgen.tables.schema",
    "SequentialTrees": "synthgen.synthesizers.trees",
    "SmoothedBootstrap": "synthgen.synthesizers.bootstrap",
    "Sweep": "synthgen.comparison.sweep",
    "SynthgenError": "synthgen.errors",
    "Synthesizer": "synthgen.synthesizers.base",
    "TabFlow": "synthgen.synthesizers.flow",
    "Table": "synthgen.tables.table",
    "audit": "synthgen.auditing.audit",
    "augment": "synthgen.augmentation.augment",
    "compare": "synthgen.comparison.compare",
    "compare_audits": "synthgen.auditing.drift",
    "evaluate": "synthgen.metrics.evaluate",
    "fit_many": "synthgen.synthesizers.fit_many",
    "load": "synthgen.synthesizers.lookup",
    "privacy": "synthgen.exposure.release",
    "read_table": "synthgen.tables.read",
    "sample_dataset": "synthgen.scale.dataset",
    "sweep": "synthgen.comparison.sweep",
    "write_table": "synthgen.tables.write",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
