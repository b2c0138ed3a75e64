"""Synthetic rows for the rare class of a table.

The public names, listed in `__init__.pyi`, are loaded when they are first used, so
`import synthgen` and `synthgen --help` do not wait for torch, pandas or scikit-learn.
"""

from importlib.metadata import version

import lazy_loader

__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("synthgen")
__all__ += ["__version__"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
