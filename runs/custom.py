"""Components of the user's own, in a module of the user's own.

    CUSTOM:
      MODULE: my_project.my_model     # or the path of a .py file
      OPTIONS: {WIDTH: 64}            # the module's own section
    MODEL:
      NAME: my_model

The module may define
    CONFIG    a frozen dataclass; CUSTOM.OPTIONS is checked against it like any section of the configuration
    MODELS    name -> builder of a video model, called as builder(run configuration, clip, options)
    DATASETS  name -> reader of annotations, called like the functions in `datasets.annotations`
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from runs.config import CustomConfig
from utils.config import ConfigError, build_section
from utils.config.tree import tree_of_values


@dataclass(frozen=True)
class CustomComponents:
    """What the user's module offers; empty tables without one."""

    options: Any = None
    models: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    datasets: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def load_custom_components(config: CustomConfig) -> CustomComponents:
    """Import the module that CUSTOM names and check CUSTOM.OPTIONS against its CONFIG.

    Raises:
        ConfigError: the module cannot be found, fails when it is imported, or does not fit its section.
    """
    if not config.module:
        if config.options:
            raise ConfigError(
                "options without a module", key="CUSTOM.OPTIONS", remedy="name it in CUSTOM.MODULE"
            )
        return CustomComponents()
    module = _import(config.module)
    attributes = vars(module)
    return CustomComponents(
        options=_checked_options(module, attributes.get("CONFIG"), config.options),
        models=_table(module, "MODELS"),
        datasets=_table(module, "DATASETS"),
    )


def _import(name: str) -> ModuleType:
    path = Path(name).resolve() if name.endswith(".py") else None
    if path is not None:
        if not path.is_file():
            raise ConfigError(f"{path} does not exist", key="CUSTOM.MODULE")
        sys.path.append(str(path.parent))
        name = path.stem
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        remedy = "put its folder on PYTHONPATH, or give the path of the .py file"
        raise ConfigError(
            f"{name} cannot be imported: {error}", key="CUSTOM.MODULE", remedy=remedy
        ) from error
    if path is not None and Path(str(module.__file__)).resolve() != path:
        remedy = "give the file a name that no other module has"
        raise ConfigError(f"{path} is hidden by {module.__file__}", key="CUSTOM.MODULE", remedy=remedy)
    return module


def _checked_options(module: ModuleType, schema: Any, options: Mapping[str, Any]) -> Any:
    if schema is None:
        if options:
            remedy = f"define CONFIG, a frozen dataclass, in {module.__name__}"
            raise ConfigError("options that nothing reads", key="CUSTOM.OPTIONS", remedy=remedy)
        return None
    if not (isinstance(schema, type) and dataclasses.is_dataclass(schema)):
        raise ConfigError(f"CONFIG of {module.__name__} is not a dataclass", key="CUSTOM.MODULE")
    return build_section(schema, tree_of_values(options, "CUSTOM.OPTIONS"), "CUSTOM.OPTIONS")


def _table(module: ModuleType, name: str) -> Mapping[str, Callable[..., Any]]:
    table = vars(module).get(name, {})
    if not isinstance(table, Mapping) or not all(callable(builder) for builder in table.values()):
        raise ConfigError(f"{name} of {module.__name__} does not map names to functions", key="CUSTOM.MODULE")
    return table
