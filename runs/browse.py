"""`python runs/prepare.py browse`: a picture of training clips as the model gets them, to look at.

    python runs/prepare.py browse --cfg FILE [--output sheet.png] [--clips 6] [--epoch 0] [KEY VALUE ...]

Each row is a clip with its label and its video: cropped, flipped, coloured and erased as the configuration
says, and drawn exactly as the run draws it in that epoch. Mixing of clips (mixup, cutmix) is not shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.annotations import AnnotationError
from datasets.decoding import VideoReadError
from runs.cli import parse_command, readable_errors
from runs.inference.inputs import InputError, check_output_file
from runs.inference.options import count_of
from runs.preflight import check_paths
from utils.config import ConfigError

if TYPE_CHECKING:
    from PIL import Image

    from datasets.records import AnnotatedSplit
    from datasets.video_dataset import VideoDataset
    from runs.config import RunConfig

FRAMES_SHOWN = 8
TILE_WIDTH = 160


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    with readable_errors(AnnotationError, InputError, VideoReadError):
        invocation = parse_command(arguments, description=__doc__ or "", add_options=add_options)
        options = invocation.options
        if not invocation.config.train.enable:
            raise ConfigError("false given, but the clips shown are those of training", key="TRAIN.ENABLE")
        check_paths(invocation.config, uses_model=False)
        check_output_file(options.output)
        from datasets.video_dataset import UnreadableVideoError  # torch: mistakes are told before
        from runs.inference.drawing import save_picture

        with readable_errors(UnreadableVideoError):
            sheet = training_sheet(invocation.config, options.clips, options.epoch)
        save_picture(sheet, options.output)
    print(f"training clips: {options.output}")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--output", type=Path, default=Path("training_clips.png"), help="(%(default)s)")
    parser.add_argument("--clips", type=count_of, default=6, help="videos shown (%(default)s)")
    parser.add_argument("--epoch", type=int, default=0, help="whose random draws (%(default)s)")


def training_sheet(config: RunConfig, count: int, epoch: int) -> Image.Image:
    """The sheet of ``count`` videos spread over the training list."""
    from runs.build_data import build_training_dataset, load_splits

    split = load_splits(config)["train"]
    dataset = build_training_dataset(config, split)
    rows = [number * len(dataset) // count for number in range(min(count, len(dataset)))]
    strips = [_clips_of(config, dataset, split, epoch, row) for row in rows]
    return below_each_other([picture for clips in strips for picture in clips])


def _clips_of(
    config: RunConfig, dataset: VideoDataset, split: AnnotatedSplit, epoch: int, row: int
) -> list[Image.Image]:
    """One strip of frames for every clip of a video (several with repeated augmentation)."""
    import numpy as np

    from datasets.batch import collate
    from datasets.transforms.device import DeviceTransform
    from datasets.video_dataset import SampleKey
    from runs.inference.drawing import contact_sheet

    batch = collate([dataset[SampleKey(epoch, row)]])
    video = DeviceTransform((0.0,) * 3, (1.0,) * 3, gray_first=config.augmentation.gray_first)(
        batch.video, batch.colour
    )
    shown = np.linspace(0, video.shape[2] - 1, min(FRAMES_SHOWN, video.shape[2])).round().astype(int)
    strips = []
    for clip, target, video_id in zip(video, batch.target.tolist(), batch.video_id.tolist(), strict=True):
        frames = (clip.permute(1, 2, 3, 0)[shown] * 255).round().byte().numpy()
        names = [names[label] for names, label in zip(split.class_names, target, strict=True)]
        title = f"{', '.join(names) or 'unlabelled'}   ({split.records[video_id].path})"
        strips.append(contact_sheet(frames, [title], columns=FRAMES_SHOWN, tile_width=TILE_WIDTH))
    return strips


def below_each_other(pictures: Sequence[Image.Image]) -> Image.Image:
    """One picture of all, left-aligned."""
    from PIL import Image

    sheet = Image.new("RGB", (max(item.width for item in pictures), sum(item.height for item in pictures)))
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
