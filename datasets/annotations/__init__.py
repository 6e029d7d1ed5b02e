"""Annotation files of every data set, as they are distributed, into typed records. Torch-free.

One module per format; `table.py` says which data set has which; `load_split` reads, checks and locates.
"""

from datasets.annotations.checks import check_disjoint, check_labelled, check_same_classes
from datasets.annotations.errors import AnnotationError
from datasets.annotations.loading import dataset_spec, evaluation_split, load_split
from datasets.annotations.table import DATASETS, DatasetSpec, Source

__all__ = [
    "DATASETS",
    "AnnotationError",
    "DatasetSpec",
    "Source",
    "check_disjoint",
    "check_labelled",
    "check_same_classes",
    "dataset_spec",
    "evaluation_split",
    "load_split",
]
