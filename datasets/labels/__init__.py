"""Class names that ship with the project, so that prediction and zero-shot recognition need no label file.

names/*.txt hold one class a line in the order of the class indices; subsets.txt holds lists of class
indices (the base half of base-to-novel, the three zero-shot splits of Kinetics-600). Files are read when
first asked for.
"""

from datasets.labels.class_lists import CLASS_LISTS, class_names, class_subset
from datasets.labels.flips import horizontal_flip_pairs
from datasets.labels.kinetics import KINETICS, kinetics_710_name, union_class_names
from datasets.labels.lookup import ClassLookup
from datasets.labels.words import class_key, class_words

__all__ = [
    "CLASS_LISTS",
    "KINETICS",
    "ClassLookup",
    "class_key",
    "class_names",
    "class_subset",
    "class_words",
    "horizontal_flip_pairs",
    "kinetics_710_name",
    "union_class_names",
]
