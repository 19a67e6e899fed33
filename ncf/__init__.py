"""Neural collaborative filtering from a ratings file to production.

A name is imported when it is first used, so that opening a bundle needs no PyTorch. The names are
implemented in :mod:`ncf.api`; their types are in ``__init__.pyi``.
"""

from importlib import import_module

from ncf.devices import share_cores
from ncf.extras import needed_by
from ncf.packages import require_own

_MODULES = {
    "Bundle": "ncf.api.bundles",
    "Comparison": "ncf.api.comparison",
    "Data": "ncf.api.data",
    "Diff": "ncf.api.differences",
    "Evaluation": "ncf.api.evaluation",
    "Figures": "ncf.api.figures",
    "Model": "ncf.api.models",
    "Run": "ncf.api.runs",
    "__version__": "ncf.version",
    "add_items": "ncf.api.growth",
    "batch": "ncf.api.runs",
    "commit_batch": "ncf.api.plans",
    "compare": "ncf.api.comparison",
    "default_gates": "ncf.api.publishing",
    "diff": "ncf.api.differences",
    "evaluate": "ncf.api.evaluation",
    "export": "ncf.api.exports",
    "export_triton": "ncf.api.exports",
    "fetch": "ncf.api.data",
    "forget": "ncf.api.forgetting",
    "open_bundle": "ncf.api.opening",
    "open_data": "ncf.api.data",
    "open_model": "ncf.api.models",
    "plan_batch": "ncf.api.plans",
    "prepare": "ncf.api.data",
    "publish": "ncf.api.publishing",
    "push": "ncf.api.delivery",
    "push_rollback": "ncf.api.delivery",
    "push_status": "ncf.api.delivery",
    "read_latest": "ncf.api.runs",
    "report": "ncf.api.reports",
    "rollback": "ncf.api.publishing",
    "train": "ncf.api.training",
    "tune": "ncf.api.tuning",
    "verify": "ncf.api.verification",
    "work_batch": "ncf.api.plans",
}
# Packages beside this one that a module needs, and that somebody's file may hide.
_BESIDE = {
    "ncf.api.delivery": ("batch",),
    "ncf.api.differences": ("batch",),
    "ncf.api.exports": ("export",),
    "ncf.api.forgetting": ("batch", "export"),
    "ncf.api.growth": ("batch", "export"),
    "ncf.api.plans": ("batch",),
    "ncf.api.publishing": ("batch",),
    "ncf.api.runs": ("batch",),
    "ncf.api.verification": ("batch", "export"),
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'ncf' has no attribute {name!r}")
    share_cores()
    require_own(*_BESIDE.get(_MODULES[name], ()))
    with needed_by(f"ncf.{name}"):
        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
