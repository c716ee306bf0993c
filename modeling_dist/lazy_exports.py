# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Names of a package that are imported when they are first asked for, so that options can be read without torch."""

import importlib
import sys
from collections.abc import Callable


def lazy_exports(package: str, modules: dict[str, tuple[str, ...]]) -> tuple[Callable, Callable, list[str]]:
    """
    Make `__getattr__`, `__dir__` and `__all__` of a package (PEP 562), given the names that each of its modules
    exports.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def get_attribute(name: str):
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{module_of[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return get_attribute, lambda: sorted(module_of), sorted(module_of)
