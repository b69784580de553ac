"""The trainer of an nnU-Net checkpoint, which knows how to build its network."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any

ELSEWHERE = "nnUNet_extTrainer"
"""nnU-Net's environment variable for folders with trainers of one's own."""


def trainer_class(name: str) -> Any:
    """Return nnU-Net's trainer of a name, or None if there is none.

    nnU-Net looks for it by importing one module after the other, of which some need packages that
    are not there or do not fit; here the one that defines it is imported alone. What lies
    elsewhere is left to nnU-Net.

    Raises
    ------
    Exception
        Whatever importing nnU-Net's modules raises.
    """
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    if not name.isidentifier():
        return None
    defined = re.compile(rf"^class {name}\b", re.MULTILINE)
    package = nnUNetTrainer.__module__.rpartition(".")[0]
    top = Path(str(sys.modules[package].__path__[0]))
    for file in sorted(top.rglob("*.py")):
        if defined.search(file.read_text(encoding="utf-8", errors="replace")):
            module = ".".join(file.relative_to(top).with_suffix("").parts)
            found = getattr(importlib.import_module(f"{package}.{module}"), name, None)
            if isinstance(found, type) and issubclass(found, nnUNetTrainer):
                return found
    if not os.environ.get(ELSEWHERE):
        return None
    try:
        return recursive_find_trainer_class_by_name(name)
    except RuntimeError as error:
        if name in str(error):
            return None  # nnU-Net's own way to say so
        raise
