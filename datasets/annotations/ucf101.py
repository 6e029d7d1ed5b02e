"""The official train and test lists of UCF101 (three splits).

    trainlist01.txt     ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1      class numbers from 1
    testlist01.txt      ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi        the folder is the class

The folder HandstandPushups holds files that are named v_HandStandPushups_…: the folder counts.
"""

from __future__ import annotations

from datasets.annotations.errors import Offenders, shown
from datasets.annotations.files import read_lines
from datasets.annotations.request import ReadRequest
from datasets.records import VideoRecord


def read_ucf101(request: ReadRequest) -> list[VideoRecord]:
    """Records of one or several official lists.

    Raises:
        AnnotationError: folders that are no class name, or class numbers that disagree with the folder.
    """
    return [record for path in request.paths for record in _read_list(path, request)]


def _read_list(path: str, request: ReadRequest) -> list[VideoRecord]:
    records: list[VideoRecord] = []
    classes = request.classes
    offenders = Offenders(
        path, remedy="take classInd.txt of the same release as class names (DATA.CLASS_NAMES)"
    )
    for number, line in enumerate(read_lines(path), start=1):
        video, _, class_number = line.strip().partition(" ")
        if not video:
            continue
        folder, _, _ = video.rpartition("/")
        try:
            index = classes.find(folder)
        except ValueError as error:
            offenders.add(number, str(error))
            continue
        if index is None:
            offenders.add(
                number, f"the folder of {shown(video)} is none of the {request.num_classes} class names"
            )
        elif class_number and class_number.strip() != str(index + 1):
            offenders.add(
                number, f"{shown(line)} has class {class_number} where {folder} is number {index + 1}"
            )
        else:
            records.append(VideoRecord(video, (index,)))
    offenders.raise_any()
    return records
