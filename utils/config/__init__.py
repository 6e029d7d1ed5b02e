"""Typed configuration: YAML files and `KEY VALUE` pairs in, one immutable dataclass out.

    YAML file ──its _BASE files──► tree of leaves (value, text, where) ──KEY VALUE pairs──►
        ──vocabulary of other releases──► conversion to the fields' types ──► frozen dataclass

A section is a frozen dataclass; a YAML key is a field's name in capitals; a nested dataclass is a nested
mapping; the text under a field is its documentation. Checks live in `__post_init__` and raise `ConfigError`
with the key relative to the section. Nothing here imports torch, so a mistake is told within a second.
"""

from utils.config.convert import build_section
from utils.config.errors import ConfigError, ConfigWarning, Problem, require
from utils.config.frozen import FrozenDict
from utils.config.load import Resolved, load_config, resolve_config
from utils.config.render import list_keys, to_dict, to_yaml
from utils.config.schema import KeyInfo, describe_keys
from utils.config.vocabulary import Vocabulary

__all__ = [
    "ConfigError",
    "ConfigWarning",
    "FrozenDict",
    "KeyInfo",
    "Problem",
    "Resolved",
    "Vocabulary",
    "build_section",
    "describe_keys",
    "list_keys",
    "load_config",
    "require",
    "resolve_config",
    "to_dict",
    "to_yaml",
]
