"""Text–video data sets: one record per video, with its captions and no labels.

MSR-VTT   MSRVTT_data.json {"videos": […], "sentences": [{"caption", "video_id", "sen_id"}]} and the training
          ids in MSRVTT_train.9k.csv or .7k.csv; test: MSRVTT_JSFUSION_test.csv key,vid_key,video_id,sentence
DiDeMo    {train,val,test}_data.json, one entry per description, and {train,val,test}_list.txt; all
          descriptions of a video, joined by a space, are one query
LSMDC     LSMDC16_annos_{training,val}.csv, LSMDC16_challenge_1000_publictect.csv: six fields separated by
          tabs, no header; id first, sentence last; some clips have several lines, a sentence each
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from datasets.annotations.errors import AnnotationError, Offenders, shown
from datasets.annotations.files import read_json, read_lines, read_rows
from datasets.annotations.request import ReadRequest
from datasets.records import VideoRecord

_LSMDC_FIELDS = 6


def read_msrvtt_test(request: ReadRequest) -> list[VideoRecord]:
    """The JSFusion 1k-A test pairs: one caption per video."""
    offenders = Offenders(request.path, remedy="take the released MSRVTT_JSFUSION_test.csv")
    captions: dict[str, list[str]] = {}
    for line, row in read_rows(request.path, required=("video_id", "sentence")):
        if row["video_id"] in captions:
            offenders.add(line, f"{row['video_id']} occurs twice")
        captions[row["video_id"]] = [row["sentence"].strip()]
    offenders.raise_any()
    return _records(request.path, captions.keys(), captions, extension=".mp4")


def read_msrvtt_train(request: ReadRequest) -> list[VideoRecord]:
    """The training videos of a list of ids (first file) with all their captions from the JSON (second
    file)."""
    ids_path, json_path = request.paths
    captions: dict[str, list[str]] = {}
    for sentence in _entries(json_path, read_json(json_path), "sentences", ("video_id", "caption")):
        captions.setdefault(sentence["video_id"], []).append(sentence["caption"].strip())
    ids = [row["video_id"] for _, row in read_rows(ids_path, required=("video_id",))]
    return _records(ids_path, ids, captions, extension=".mp4")


def read_didemo(request: ReadRequest) -> list[VideoRecord]:
    """Paragraph-to-video records: the videos of the id list (second file), descriptions joined by a space."""
    json_path, list_path = request.paths
    descriptions: dict[str, list[str]] = {}
    for entry in _entries(json_path, {"list": read_json(json_path)}, "list", ("video", "description")):
        descriptions.setdefault(entry["video"], []).append(entry["description"].strip())
    paragraphs = {video: [" ".join(sentences)] for video, sentences in descriptions.items()}
    ids = [line.strip() for line in read_lines(list_path) if line.strip()]
    unused = len(paragraphs.keys() - set(ids))
    if unused:
        request.notes.append(
            f"{unused} videos of {PurePosixPath(json_path).name} are not in the id list: left out"
        )
    return _records(list_path, ids, paragraphs, extension="")


def read_lsmdc(request: ReadRequest) -> list[VideoRecord]:
    """Clips with their sentences, mostly one; clip "1004_Juno_00.00.32.161-00.00.36.246" lies in the folder
    "1004_Juno"."""
    offenders = Offenders(request.path, remedy="every line holds six fields separated by tabs")
    captions: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(request.path), start=1):
        fields = line.split("\t")
        if not line.strip():
            continue
        if len(fields) != _LSMDC_FIELDS:
            offenders.add(number, f"{len(fields)} fields in {shown(line)}")
        else:
            captions.setdefault(fields[0], []).append(fields[-1].strip())
    offenders.raise_any()
    records = _records(request.path, captions.keys(), captions, extension=".avi")
    return [
        VideoRecord(
            f"{record.name.rpartition('_')[0]}/{record.path}", captions=record.captions, name=record.name
        )
        for record in records
    ]


def _records(
    source: str, ids: Iterable[str], captions: dict[str, list[str]], extension: str
) -> list[VideoRecord]:
    """One record per id, in the order of the ids.

    Raises:
        AnnotationError: ids without captions, empty captions, or ids that occur twice.
    """
    offenders = Offenders(source, remedy="take caption file and id list of the same release")
    records: list[VideoRecord] = []
    seen: set[str] = set()
    for video in ids:
        sentences = tuple(sentence for sentence in captions.get(video, ()) if sentence)
        if video in seen:
            offenders.add(None, f"{video} occurs twice")
        elif not sentences:
            offenders.add(None, f"{video} has no caption")
        seen.add(video)
        records.append(VideoRecord(video + extension, captions=sentences, name=video))
    offenders.raise_any()
    return records


def _entries(path: str, content: Any, key: str, fields: tuple[str, ...]) -> list[dict[str, str]]:
    """The list under `key`, each of whose entries has the fields, which are texts.

    Raises:
        AnnotationError: another structure.
    """
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: no list {key!r}. Remedy: take the released file")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or any(not isinstance(entry.get(field), str) for field in fields):
            raise AnnotationError(
                f"{path}: entry {number} has not all of {', '.join(fields)} as texts: {shown(str(entry))}"
            )
    return entries
