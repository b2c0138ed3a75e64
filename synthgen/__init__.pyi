"""The public names, and where each is defined; `synthgen/__init__.py` reads this list, too."""

from .auditing.audit import Audit as Audit
from .auditing.audit import audit as audit
from .auditing.drift import compare_audits as compare_audits
from .augmentation.augment import augment as augment
from .augmentation.augmented import Augmented as Augmented
from .augmentation.oversampled import OversampledClassifier as OversampledClassifier
from .augmentation.oversampler import Oversampler as Oversampler
from .comparison.classifier import ImbalancedClassifier as ImbalancedClassifier
from .comparison.compare import compare as compare
from .comparison.comparison import Comparison as Comparison
from .comparison.sweep import Sweep as Sweep
from .comparison.sweep import sweep as sweep
from .encoding.encoder import Encoder as Encoder
from .errors import SynthgenError as SynthgenError
from .exposure.found import PrivacyAudit as PrivacyAudit
from .exposure.release import privacy as privacy
from .metrics.evaluate import evaluate as evaluate
from .metrics.report import Report as Report
from .scale.dataset import sample_dataset as sample_dataset
from .synthesizers.base import Synthesizer as Synthesizer
from .synthesizers.bootstrap import SmoothedBootstrap as SmoothedBootstrap
from .synthesizers.ctgan import CTGAN as CTGAN
from .synthesizers.fit_many import fit_many as fit_many
from .synthesizers.flow import TabFlow as TabFlow
from .synthesizers.lookup import load as load
from .synthesizers.marginals import PrivateMarginals as PrivateMarginals
from .synthesizers.trees import SequentialTrees as SequentialTrees
from .synthesizers.tvae import TVAE as TVAE
from .tables.column import Column as Column
from .tables.read import read_table as read_table
from .tables.schema import Schema as Schema
from .tables.table import Table as Table
from .tables.write import write_table as write_table

__all__: list[str]
__version__: str
