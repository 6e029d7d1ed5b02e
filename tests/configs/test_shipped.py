"""Every YAML that is shipped loads, says what it is for, and is the recipe that was published."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runs.config import load_run_config, resolve_run_config
from utils.config.files import read_tree

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GRIDS = CONFIGS / "projects" / "ablations"
"""Grids of runs are no recipes: tests/runs/ablation has them."""
RECIPES = sorted(path for path in (CONFIGS / "projects").rglob("*.yaml") if path.parent != GRIDS)
POOL = sorted((CONFIGS / "pool").rglob("*.yaml"))
DIST = [path for path in RECIPES if path.parts[-3] == "dist" and path.parts[-2] in ("ssv2", "k400")]


def name_of(path: Path) -> str:
    return path.relative_to(CONFIGS).as_posix()


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_loads_without_a_word(path: Path) -> None:
    resolved = resolve_run_config(path)
    assert resolved.warnings == ()
    assert resolved.config.output_dir.startswith("output/")


@pytest.mark.parametrize("path", POOL, ids=name_of)
def test_a_shared_piece_is_valid_and_used(path: Path) -> None:
    load_run_config(path)
    users = [
        other
        for other in (*RECIPES, *POOL)
        if re.search(rf"^_BASE.*\b{re.escape(path.name)}", other.read_text(), re.M)
    ]
    assert users


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_opens_with_command_hardware_and_score(path: Path) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(head)
    for word in ("Command:", "Hardware:", "(Published|Expected):"):
        assert re.search(rf"^#\s+{word}\s+\S", text, re.M), f"{word} is missing"
    named = re.findall(r"configs/projects/\S+\.yaml", text)
    assert all((CONFIGS.parent / name).resolve() == path for name in named), "the command names another file"


def test_two_recipes_never_write_into_the_same_folder() -> None:
    folders = [load_run_config(path).output_dir for path in RECIPES]
    assert len(set(folders)) == len(folders)


def test_everything_loads_with_torch_blocked() -> None:
    script = """
import sys
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "open_clip"):
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Blocker())
root = Path(sys.argv[1])
sys.path[0] = str(root)
import datasets, models, runs, utils
from runs.config import load_run_config
count = 0
from runs.ablation.config import expand, load_grid
for path in sorted(root.glob("configs/**/*.yaml")):
    if path.parent.name == "ablations":
        assert expand(load_grid(path), path)
        continue
    load_run_config(path)
    count += 1
print(count, "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(CONFIGS.parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(RECIPES) + len(POOL)), "False"]


PUBLISHED = {
    "ssv2/vit-b16-8+16f": (16, 2, "ViT-B-16"),
    "ssv2/vit-b16-16+32f": (32, 2, "ViT-B-16"),
    "ssv2/vit-b16-32+64f": (64, 2, "ViT-B-16"),
    "ssv2/vit-l14-8+16f": (16, 2, "ViT-L-14"),
    "ssv2/vit-l14-32+64f": (64, 2, "ViT-L-14"),
    "k400/vit-b16-8+16f": (16, 4, "ViT-B-16"),
    "k400/vit-b16-16+32f": (32, 4, "ViT-B-16"),
    "k400/vit-b16-32+64f": (64, 4, "ViT-B-16"),
    "k400/vit-l14-8+16f": (16, 4, "ViT-L-14"),
    "k400/vit-l14-32+64f": (64, 4, "ViT-L-14"),
}
"""Recipe -> dense frames, pooling layers, architecture."""


def test_every_published_recipe_of_dist_is_there() -> None:
    assert {f"{path.parts[-2]}/{path.stem}" for path in DIST} == set(PUBLISHED)


@pytest.mark.parametrize("path", DIST, ids=name_of)
def test_a_dist_recipe_is_the_published_one(path: Path) -> None:
    config = load_run_config(path)
    frames, pooling_layers, architecture = PUBLISHED[f"{path.parts[-2]}/{path.stem}"]
    backbone, branch, optimizer = config.video.backbone, config.video.backbone.dist, config.optimizer
    assert (config.data.num_input_frames, config.data.num_sparse_frames) == (frames, frames // 2)
    assert (backbone.meta_arch_name, backbone.pretrain_weight_path) == (architecture, "openai")
    assert branch.s_patch_size == backbone.patch_size == (16 if architecture == "ViT-B-16" else 14)
    assert branch.selected_layers == tuple(range(backbone.depth or 0))
    assert (branch.integration_dim, branch.temporal_dim, branch.ada_pooling_layers) == (
        384,
        96,
        pooling_layers,
    )
    assert (branch.t_patch_size, branch.temporal_kernel_size, branch.initialization) == (5, 3, "published")
    assert (config.train.batch_size, config.train.num_folds, optimizer.max_epoch) == (256, 4, 36)
    assert optimizer.base_lr * optimizer.new_net_lrmult == pytest.approx(3.2e-4)
    assert (optimizer.warmup_epochs, optimizer.warmup_start_lr, optimizer.min_lr) == (6.0, 8e-8, 0.0)
    assert (optimizer.new_net_weight_decay, optimizer.betas, optimizer.adjust_lr) == (
        1e-4,
        (0.9, 0.999),
        False,
    )
    assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == (3, 1)
    assert config.video.head.classes_per_head == ((174,) if path.parts[-2] == "ssv2" else (400,))
    assert config.num_gpus is None


@pytest.mark.parametrize("path", DIST, ids=name_of)
def test_a_dist_recipe_treats_clips_as_published(path: Path) -> None:
    config = load_run_config(path)
    data, augmentation = config.data, config.augmentation
    assert (data.sampling_mode, data.train_jitter_scales) == ("segment_based", (0.4, 1.0))
    assert (data.interpolation, data.antialias, data.test_scale, data.test_crop_size) == (
        "bilinear",
        False,
        224,
        224,
    )
    assert data.dataset_label_text.prompt_prefix == ""
    assert (augmentation.mixup.enable, augmentation.mixup.alpha, augmentation.mixup.switch_prob) == (
        True,
        0.8,
        0.5,
    )
    assert (augmentation.cutmix.enable, augmentation.cutmix.alpha, augmentation.label_smoothing) == (
        True,
        1.0,
        0.1,
    )
    assert (augmentation.color_aug, augmentation.color_jitter_p, augmentation.grayscale) == (True, 0.0, 0.2)
    assert not augmentation.autoaugment.enable
    assert not augmentation.random_erasing.enable
    assert not config.model.ema.enable


def test_pieces_of_the_pool_do_not_fight() -> None:
    """Where a recipe's bases set the same key, they agree: the order of bases decides nothing by accident."""
    for path in DIST:
        config = load_run_config(path)
        assert config.model.name == "dist"
        assert {"DATA", "OUTPUT_DIR"} <= set(read_tree(path))
