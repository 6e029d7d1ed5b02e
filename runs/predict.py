"""Says what videos show.

    python runs/predict.py VIDEO|FOLDER|LIST ... --model NAME|PATH [--classes "juggling, riding a bike"]

With --classes (or --classes-file) the model compares words of your own, otherwise the classes it was trained
for. A file that cannot be read is one line of the result. Exit codes: 0 all videos, 1 some could not be read,
2 wrong input, 130 interrupted (what is known by then is written).
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

import argparse
from collections.abc import Iterator, Sequence

from models.errors import ConversionError
from models.weights import locate_weights
from models.zoo import ZooError
from runs.cli import escape_on_stdout, readable_errors
from runs.inference.drawn_files import check_drawings, check_output_is_no_input, drawing_names
from runs.inference.inputs import (
    InputError,
    check_output_file,
    check_output_folder,
    find_videos,
    read_classes,
)
from runs.inference.options import (
    add_frozen_precision_option,
    add_model_options,
    count_of,
    load_model_of,
    seconds_of,
    share_of,
)
from runs.inference.results import FORMATS, VideoResult, best_only, format_results
from utils.atomic import replacing
from utils.download import DownloadError
from utils.progress import byte_progress
from utils.stopping import EXIT_INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    escape_on_stdout()
    with readable_errors(InputError, ZooError, DownloadError, ConversionError):
        options = _parse(arguments)
        videos = find_videos(options.inputs)
        classes = read_classes(options.classes, options.classes_file)
        if options.output:
            check_output_file(options.output)
            check_output_is_no_input(options.output, [*options.inputs, *videos])
        if options.save:
            check_output_folder(options.save)
            check_drawings(options.save, videos, options.save_as, timeline=options.window is not None)
        locate_weights(options.model, progress_for=byte_progress)
        results: list[VideoResult] = []
        interrupted = False
        try:
            for result in _predictions(options, videos, classes):
                results.append(result)
                if options.format == "table" and not options.output:
                    print(format_results([result], "table"), flush=True)
        except KeyboardInterrupt:
            interrupted = True
            print(f"interrupted after {len(results)} of {len(videos)} videos", file=sys.stderr)
    if (options.format != "table" or options.output) and (results or not interrupted):
        _write(format_results(results, options.format), options.output)
    if interrupted:
        return EXIT_INTERRUPTED
    return 1 if any(result.error for result in results) else 0


def _predictions(
    options: argparse.Namespace, videos: list[str], classes: list[str] | None
) -> Iterator[VideoResult]:
    """The result of every video, with its best classes, as it is known; drawings are saved on the way."""
    from runs.api import check_classes, check_texts  # torch is imported only now: mistakes are told before
    from runs.inference.clips import ClipSettings
    from runs.inference.prediction import Question, predict_video, save_drawing
    from utils.logging import Progress

    model = load_model_of(options)
    question = Question(
        classes=classes,
        templates=options.template,
        fusion=options.fusion,
        window=options.window,
        stride=options.stride,
    )
    try:
        check_classes(model, classes, options.fusion)
    except ValueError as error:
        raise InputError(str(error)) from error
    try:
        check_texts(model, classes, options.template, options.fusion)
    except ValueError as error:
        raise InputError(str(error)) from error
    clips = ClipSettings(model.config, options.views, options.crops)
    names = drawing_names(videos)
    silent = options.format != "table" or options.output
    with Progress(len(videos), "videos", visible=bool(silent)) as progress:
        for path, name in zip(videos, names, strict=True):
            result = predict_video(model, clips, path, question)
            if options.save and result.error is None:
                result = save_drawing(clips, result, options.save, name, options.save_as)
            yield best_only(result, options.top)
            progress.advance()


def _write(text: str, path: Path | None) -> None:
    if path is None:
        print(text)
        return
    with replacing(str(path)) as unfinished:  # names that are no UTF-8 are escaped as JSON does it
        Path(unfinished).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("inputs", nargs="+", metavar="VIDEO|FOLDER|LIST", help="what to look at")
    add_model_options(parser)
    add_frozen_precision_option(parser)
    words = parser.add_argument_group("classes")
    words.add_argument("--classes", metavar='"A, B"', help="words of your own, separated by commas")
    words.add_argument("--classes-file", type=Path, metavar="FILE", help="the same, one a line")
    words.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help="sentence with {} for a class name; may be repeated",
    )
    words.add_argument(
        "--fusion",
        type=share_of,
        metavar="W",
        help="weight of the model against the frozen CLIP, 0 to 1 (own words: the configuration's, else 1)",
    )
    seen = parser.add_argument_group("what is seen of a video")
    seen.add_argument(
        "--views", type=count_of, default=1, metavar="N", help="clips over the video (default 1)"
    )
    seen.add_argument("--crops", type=int, choices=(1, 3), default=1, help="crops of each clip (default 1)")
    seen.add_argument("--window", type=seconds_of, metavar="S", help="a timeline of windows of S seconds")
    seen.add_argument("--stride", type=seconds_of, metavar="S", help="seconds between windows (default: S)")
    shown = parser.add_argument_group("result")
    shown.add_argument("--top", type=count_of, default=5, metavar="N", help="classes to show (default 5)")
    shown.add_argument("--format", choices=FORMATS, default="table", help="default table")
    shown.add_argument("--output", type=Path, metavar="FILE", help="write the result there")
    shown.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="draw the result on the videos, into DIR; replaces earlier drawings there, no other file",
    )
    shown.add_argument(
        "--save-as",
        choices=("video", "sheet"),
        default="video",
        help="labelled video, or one picture of frames",
    )
    options = parser.parse_args(arguments)
    if options.stride is not None and (options.window is None or options.stride > options.window):
        parser.error("--stride needs a --window that is at least as long")
    if any(template.count("{}") != 1 for template in options.template or ()):
        parser.error("a --template needs exactly one {} for the class name")
    return options


if __name__ == "__main__":
    sys.exit(main())
