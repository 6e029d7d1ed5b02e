"""Mixup and cutmix: exact arithmetic, and the same result for any split of the global batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.mixing import ClipMixer, Mix, MixSettings, draw_mixes, soft_targets

SETTINGS = MixSettings(group_size=4, mixup_alpha=0.8, cutmix_alpha=1.0)
CLASSES = (7, 3)


def global_batch(clips: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(clips, 3, 2, 8, 10, generator=generator)
    target = torch.stack([torch.randint(0, count, (clips,), generator=generator) for count in CLASSES], dim=1)
    return video, target


def test_soft_targets_are_smoothed_one_hot_rows() -> None:
    first, second = soft_targets(torch.tensor([[2, 0]]), (5, 3), smoothing=0.1)
    torch.testing.assert_close(first, torch.tensor([[0.02, 0.02, 0.92, 0.02, 0.02]]))
    torch.testing.assert_close(second, torch.tensor([[0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]]))
    with pytest.raises(ValueError, match="do not fit 1 heads"):
        soft_targets(torch.tensor([[2, 0]]), (5,))


def test_smoothed_targets_give_torchs_smoothed_cross_entropy() -> None:
    logits, labels = torch.randn(6, 7), torch.arange(6)
    (soft,) = soft_targets(labels[:, None], (7,), smoothing=0.1)
    ours = -(soft * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1))


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_any_number_of_processes_and_any_micro_batch_mix_alike(mode: str, probability: float) -> None:
    settings = replace(SETTINGS, mode=mode, probability=probability)  # type: ignore[arg-type]
    mixer = ClipMixer(settings, CLASSES, label_smoothing=0.1, seed=3)
    video, target = global_batch()
    whole, whole_targets = mixer(video, target, step=11)
    assert not torch.equal(whole, video)
    for processes in (1, 2, 4):
        share = len(video) // processes
        for micro_batch in {share, 4}:
            for first in range(0, len(video), micro_batch):
                part = slice(first, first + micro_batch)
                mixed, targets = mixer(video[part], target[part], step=11, first_clip=first)
                assert torch.equal(mixed, whole[part])
                for soft, whole_soft in zip(targets, whole_targets, strict=True):
                    assert torch.equal(soft, whole_soft[part])


def test_draws_depend_on_seed_step_and_group() -> None:
    def draws(seed: int, step: int, group: int) -> list[Mix]:
        return draw_mixes(SETTINGS, 8, 10, seed, step, group)

    assert draws(0, 0, 0) == draws(0, 0, 0)
    assert len({repr(draws(*keys)) for keys in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}) == 4


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_each_clip_mixes_with_its_mirror_in_the_group(mode: str) -> None:
    settings = replace(SETTINGS, cutmix_alpha=None, mode=mode)  # type: ignore[arg-type]
    video, target = global_batch(8)
    mixed, (soft, _) = ClipMixer(settings, CLASSES, seed=5)(video, target, step=2)
    for clip in range(8):
        partner = 4 * (clip // 4) + 3 - clip % 4
        (weight,) = {
            mix.weight
            for mix in draw_mixes(settings, 8, 10, 5, 2, clip // 4)
            if mix.first <= clip % 4 < mix.stop
        }
        torch.testing.assert_close(mixed[clip], weight * video[clip] + (1 - weight) * video[partner])
        one_hot = torch.nn.functional.one_hot(target[:, 0], CLASSES[0]).float()
        torch.testing.assert_close(soft[clip], weight * one_hot[clip] + (1 - weight) * one_hot[partner])


def test_pairs_share_their_weight_and_others_do_not() -> None:
    mixes = draw_mixes(replace(SETTINGS, mode="pair", cutmix_alpha=None), 8, 10, 0, 0, 0)
    weights = {mix.first: mix.weight for mix in mixes}
    assert weights[0] == weights[3] != weights[1] == weights[2]


@pytest.mark.parametrize("minmax", [None, (0.3, 0.6)])
def test_cutmix_pastes_one_rectangle_into_all_frames_and_weighs_by_its_area(
    minmax: tuple[float, float] | None,
) -> None:
    settings = replace(SETTINGS, mixup_alpha=None, minmax=minmax)
    video, target = global_batch(8)
    areas = []
    for step in range(20):
        mixed, (soft, _) = ClipMixer(settings, CLASSES)(video, target, step=step)
        own, other = mixed[0] == video[0], mixed[0] == video[3]
        assert (own | other).all()
        pasted = (~own).any(dim=0).any(dim=0)
        assert torch.equal((~own).all(dim=0).all(dim=0), pasted)  # the same in all channels and frames
        area = float(pasted.float().mean())
        areas.append(area)
        if target[0, 0] != target[3, 0]:
            assert soft[0, target[0, 0]] == pytest.approx(1 - area)
            assert soft[0, target[3, 0]] == pytest.approx(area)
    assert len(set(areas)) > 5
    if minmax:
        assert 0.06 < min(areas) <= max(areas) <= 0.37


def test_the_switch_and_the_probability_are_as_set() -> None:
    settings = replace(SETTINGS, probability=0.8, switch_probability=0.25)
    drawn = [draw_mixes(settings, 20, 20, 0, step, 0) for step in range(2000)]
    mixes = [mixes[0] for mixes in drawn if mixes]
    assert abs(len(mixes) / 2000 - 0.8) < 0.03
    assert abs(sum(mix.box is not None for mix in mixes) / len(mixes) - 0.25) < 0.03
    weights = np.array([mix.weight for mix in mixes if mix.box is None])
    assert abs(weights.mean() - 0.5) < 0.02
    assert abs(weights.var() - 0.25 / (2 * 0.8 + 1)) < 0.01  # variance of Beta(a, a)


def test_without_settings_clips_stay_and_targets_are_soft() -> None:
    video, target = global_batch(5)
    for settings in (
        None,
        replace(SETTINGS, probability=0.0),
        MixSettings(mixup_alpha=None, cutmix_alpha=None),
    ):
        mixed, targets = ClipMixer(settings, CLASSES)(video, target, step=0)
        assert mixed is video
        assert [soft.argmax(dim=1).tolist() for soft in targets] == target.T.tolist()


def test_cut_groups_are_refused_and_the_input_is_left_alone() -> None:
    video, target = global_batch(8)
    before = video.clone()
    mixer = ClipMixer(SETTINGS, CLASSES)
    mixer(video, target, step=0)
    assert torch.equal(video, before)
    for clips, first in ((6, 0), (4, 2)):
        with pytest.raises(ValueError, match="GROUP_SIZE"):
            mixer(video[:clips], target[:clips], step=0, first_clip=first)
