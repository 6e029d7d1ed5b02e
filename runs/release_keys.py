"""The vocabulary of the original DiST/TAdaConv configuration files, as a table.

A file written for that release loads here: most of its keys are keys of this project, and the rest stands in
one of the tables below. `utils.config.Vocabulary` says how each table is read. Torch-free.
"""

from __future__ import annotations

from utils.config import ConfigError, Vocabulary
from utils.config.tree import Leaf, Tree, find_leaf, merge, nested, replaced, without

RENAMED = {
    "VIDEO.BACKBONE.LOCAL_PRETRAIN_WEIGHT_PATH": "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH",
    "OPTIMIZER.PROMPT_NET_LRMULT": "OPTIMIZER.NEW_NET_LRMULT",
    "OPTIMIZER.PROMPT_NET_WEIGHT_DECAY": "OPTIMIZER.NEW_NET_WEIGHT_DECAY",
}

DATASETS = {
    "kinetics400": "k400",
    "kinetics600": "k600",
    "kinetics700": "k700",
    "epickitchen100": "epic100",
}

VALUES = {
    "TRAIN.DATASET": DATASETS,
    "TEST.DATASET": DATASETS,
    "VIDEO.HEAD.NAME": {
        "ClipVideoTextIdentity": "text",
        "ClipVideoHeadLinear": "linear",
        "BaseHead": "linear",
    },
    "TRAIN.LOSS_FUNC": {"soft_target": "cross_entropy"},
}

ONLY = {
    "DATA.NUM_INPUT_CHANNELS": (3, "videos are read as red, green and blue"),
    "DATA.MULTI_LABEL": (False, "a video has one class per head"),
    "DATA.ENSEMBLE_METHOD": ("sum", "scores of a video's views are summed"),
    "DATA.DATASET_LABEL_TEXT.TEXT_TYPE": (
        "labels_only",
        "write sentences around the class name in DATA.DATASET_LABEL_TEXT.TEMPLATES",
    ),
    "DATA.TRAIN_MULTI_SCALE_CROP": (
        False,
        "give DATA.TRAIN_JITTER_SCALES as short sides in pixels for crops at several scales",
    ),
    "TRAIN.ONLY_LINEAR": (
        False,
        "a linear probe is MODEL.NAME clip with VIDEO.HEAD.NAME linear",
    ),
    "TRAIN.LR_REDUCE": (False, "set OPTIMIZER.BASE_LR"),
    "TRAIN.TRAIN_VAL_COMBINE": (False, "name a list that holds both in DATA.TRAIN_LIST"),
    "TEST.ZEROSHOT.ENABLE": (
        False,
        "leave it out; runs/zero_shot.py tests so, the model fused with the frozen CLIP and both alone",
    ),
    "TEST.SPATIAL_CROPS": ("cc", "one crop is the centre; TEST.NUM_SPATIAL_CROPS 3 adds both ends"),
    "VIDEO.BACKBONE.NUM_INPUT_CHANNELS": (3, "videos are read as red, green and blue"),
    "VIDEO.BACKBONE.DIST.TEMPORAL_USE_LAYER_NORM": (True, "the temporal blocks are normalised"),
    "VIDEO.HEAD.ACTIVATION": ("softmax", "scores are probabilities over the classes"),
    "OPTIMIZER.LAYER_LRDECAY.ENABLE": (False, "every pretrained layer has OPTIMIZER.BASE_LR"),
    "AUGMENTATION.CONSISTENT": (True, "all frames of a clip are changed alike"),
    "AUGMENTATION.IS_SPLIT": (False, "a clip is not cut into differently augmented parts"),
    "DATA.HICO_PLUS_PLUS.ENABLE": (False, "self-supervised pre-training is not part of this project"),
    "PRETRAIN.ENABLE": (False, "self-supervised pre-training is not part of this project"),
    "LOCALIZATION.ENABLE": (False, "temporal localisation is not part of this project"),
    "SUBMISSION.ENABLE": (False, "the test writes the scores of every video to OUTPUT_DIR"),
}

IGNORED = {
    "PRETRAIN.*": "self-supervised pre-training",
    "LOCALIZATION.*": "temporal localisation",
    "VISUALIZATION.*": "plots are always written",
    "SUBMISSION.*": "the test writes every video's scores",
    "TRAIN.CHECKPOINT_TYPE": "the file tells",
    "TRAIN.CHECKPOINT_INFLATE": "there are no image networks to inflate",
    "TRAIN.CHECKPOINT_PRE_PROCESS.*": "key tables know the released checkpoints",
    "TEST.CHECKPOINT_TYPE": "the file tells",
    "TEST.AUTOMATIC_MULTI_SCALE_TEST_SPATIAL": "no code read it",
    "DATA.HICO_PLUS_PLUS.*": "self-supervised pre-training",
    "DATA.FPS": "the file tells its own frame rate",
    "DATA.DATASET_LABEL_TEXT.ENABLE": "VIDEO.HEAD.NAME text uses the class names",
    "VIDEO.BACKBONE.META_ARCH": "the open_clip architecture tells",
    "VIDEO.BACKBONE.NUM_OUT_FEATURES": "the open_clip architecture tells",
    "VIDEO.BACKBONE.PROMPT_PREFIX": "no code read it; DATA.DATASET_LABEL_TEXT.PROMPT_PREFIX is what acts",
    "VIDEO.BACKBONE.ATTEN_BLOCK": "internal to the old code",
    "VIDEO.BACKBONE.RECORD_TEXT_MID_FEAT": "internal to the old code",
    "VIDEO.BACKBONE.RECORD_VIS_MID_FEAT": "internal to the old code",
    "VIDEO.BACKBONE.DEPTH": "convolutional networks",
    "VIDEO.BACKBONE.NUM_FILTERS": "convolutional networks",
    "VIDEO.BACKBONE.KERNEL_SIZE": "convolutional networks",
    "VIDEO.BACKBONE.DOWNSAMPLING": "convolutional networks",
    "VIDEO.BACKBONE.DOWNSAMPLING_TEMPORAL": "convolutional networks",
    "VIDEO.BACKBONE.NUM_STREAMS": "convolutional networks",
    "VIDEO.BACKBONE.EXPANSION_RATIO": "convolutional networks",
    "VIDEO.BACKBONE.BRANCH.*": "convolutional networks",
    "VIDEO.BACKBONE.STEM.*": "convolutional networks",
    "VIDEO.BACKBONE.NONLOCAL.*": "convolutional networks",
    "VIDEO.BACKBONE.INITIALIZATION": "convolutional networks",
    "VIDEO.HEAD.PRE_LOGITS": "internal to the old code",
    "OPTIMIZER.HEAD_LRMULT": "a trained head is new and has OPTIMIZER.NEW_NET_LRMULT",
    "OPTIMIZER.FREEZE_PRETRAINED_PARAM": "no code read it; VIDEO.BACKBONE.FREEZE_VISUAL and FREEZE_TEXT tell",
    "OPTIMIZER.MOMENTUM": "stochastic gradient descent",
    "OPTIMIZER.DAMPENING": "stochastic gradient descent",
    "OPTIMIZER.NESTEROV": "stochastic gradient descent",
    "OPTIMIZER.LAYER_LRDECAY.DECAY_WEIGHT": "every pretrained layer has OPTIMIZER.BASE_LR",
    "AUGMENTATION.USE_GPU": "colours are always changed on the device",
    "DATA_LOADER.COLLATE_FN": "there is one kind of batch",
    "BN.*": "there is no batch normalisation",
    "SHARD_ID": "torchrun tells",
    "NUM_SHARDS": "torchrun tells",
    "OSS.*": "object stores are URLs in DATA.DATA_ROOT_DIR; credentials never stand in YAML",
    "USE_MULTISEG_VAL_DIST": "internal to the old code",
    "PAI": "internal to the old cluster",
    "MULTI_CARD": "internal to the old cluster",
}


DIST_SWITCH = "VIDEO.BACKBONE.DIST.ENABLE"


def choose_model(tree: Tree) -> tuple[Tree, list[str]]:
    """`MODEL.NAME clip` with `VIDEO.BACKBONE.DIST.ENABLE true` is what `MODEL.NAME dist` says here.

    Raises:
        ConfigError: DiST is named as the model and switched off at once.
    """
    switch, name = find_leaf(tree, DIST_SWITCH), find_leaf(tree, "MODEL.NAME")
    if switch is None:
        return tree, []
    enabled = _switched_on(tree, DIST_SWITCH)
    tree = without(tree, DIST_SWITCH)
    if name is not None and name.value == "dist" and not enabled:
        raise ConfigError(
            "false given, but the model is dist",
            key=DIST_SWITCH,
            source=switch.source,
            remedy="for CLIP without DiST set MODEL.NAME to clip",
        )
    chosen_on_command_line = name is not None and name.from_command_line and not switch.from_command_line
    if enabled and not chosen_on_command_line and (name is None or name.value in (None, "", "clip")):
        tree = merge(tree, nested("MODEL.NAME", replaced(switch, "dist")))
    return tree, []


def choose_precision(tree: Tree) -> tuple[Tree, list[str]]:
    """`TRAIN.HALF_PRECISION true` is `TRAIN.PRECISION fp16`."""
    half, enabled = find_leaf(tree, "TRAIN.HALF_PRECISION"), _switched_on(tree, "TRAIN.HALF_PRECISION")
    tree = without(tree, "TRAIN.HALF_PRECISION")
    if half is not None and enabled and find_leaf(tree, "TRAIN.PRECISION") is None:
        tree = merge(tree, nested("TRAIN.PRECISION", replaced(half, "fp16")))
    return tree, []


OVERRIDE = "TEST.OVERRIDE_MULTI_SCALE_TEST"
AUTOMATIC = "TEST.AUTOMATIC_MULTI_SCALE_TEST"
VIEW_KEYS = ("NUM_ENSEMBLE_VIEWS", "NUM_SPATIAL_CROPS")


def choose_test_views(tree: Tree) -> tuple[Tree, list[str]]:
    """The views of the release's second, multi-view test are the views of the one final test here.

    The release tests with `NUM_ENSEMBLE_VIEWS` x `NUM_SPATIAL_CROPS` first and, where
    AUTOMATIC_MULTI_SCALE_TEST is on, again with the views of OVERRIDE_MULTI_SCALE_TEST or, without it,
    with the data set's usual ones. Views from the command line win.
    """
    automatic = find_leaf(tree, AUTOMATIC)
    overrides = _switched_on(tree, f"{OVERRIDE}.ENABLE")
    views = {key: find_leaf(tree, f"{OVERRIDE}.{key}") for key in VIEW_KEYS}
    tests_twice = overrides if automatic is None else _switched_on(tree, AUTOMATIC)
    if automatic is not None and not overrides:
        usual = _usual_views(tree)
        views = {key: replaced(automatic, count) for key, count in zip(VIEW_KEYS, usual, strict=True)}
    for key in (AUTOMATIC, f"{OVERRIDE}.ENABLE", *(f"{OVERRIDE}.{key}" for key in VIEW_KEYS)):
        tree = without(tree, key)
    if not tests_twice:
        return tree, []
    for key, leaf in views.items():
        present = find_leaf(tree, f"TEST.{key}")
        if leaf is not None and (present is None or not present.from_command_line or leaf.from_command_line):
            tree = merge(tree, nested(f"TEST.{key}", leaf))
    return tree, []


def _switched_on(tree: Tree, key: str) -> bool:
    """The value of a key that must be true or false; an absent one is false.

    Raises:
        ConfigError: it is neither.
    """
    leaf = find_leaf(tree, key)
    if leaf is None:
        return False
    if not isinstance(leaf.value, bool):
        message = f"{leaf.value!r} given, where true or false must stand"
        raise ConfigError(message, key=key, source=leaf.source)
    return leaf.value


def _usual_views(tree: Tree) -> tuple[int, int]:
    """Temporal clips and spatial crops that the release takes for a data set."""
    dataset = find_leaf(tree, "TEST.DATASET") or find_leaf(tree, "TRAIN.DATASET")
    name = str(dataset.value) if dataset is not None else ""
    if "ssv2" in name:
        return 3, 1
    return 10, 3 if "kinetics" in name or "epickitchen" in name else 1


def warn_of_batch_size(tree: Tree) -> tuple[Tree, list[str]]:
    """The release counts clips per process, this project all clips of a step."""
    batch, adjust = find_leaf(tree, "TRAIN.BATCH_SIZE"), find_leaf(tree, "OPTIMIZER.ADJUST_LR")
    if batch is None or batch.value == 256 or (adjust is not None and adjust.value is True):
        return tree, []
    message = (
        f"TRAIN.BATCH_SIZE {batch.value} ({batch.source}) is the global batch here, for any number of GPUs; "
        "the published learning rate belongs to 256 clips a step (8 GPUs x 32). "
        "Set TRAIN.BATCH_SIZE 256 (TRAIN.MICRO_BATCH_SIZE bounds memory) or OPTIMIZER.ADJUST_LR true"
    )
    return tree, [message]


def fall_back_to_defaults(tree: Tree) -> tuple[Tree, list[str]]:
    """The release's files leave names empty (`NAME:`) where they mean the default."""
    for key in ("MODEL.NAME", "VIDEO.HEAD.NAME"):
        leaf = find_leaf(tree, key)
        if isinstance(leaf, Leaf) and leaf.value is None:
            tree = without(tree, key)
    return tree, []


RELEASE_VOCABULARY = Vocabulary(
    name="the original release",
    renamed=RENAMED,
    values=VALUES,
    only=ONLY,
    ignored=IGNORED,
    adapters=(choose_model, choose_precision, choose_test_views, fall_back_to_defaults),
    advice=(warn_of_batch_size,),
)
