"""Learning rates worked out by hand."""

from copy import deepcopy
from math import cos, pi

import pytest
import torch
from torch import nn

from ichtune.recipe import SGD, Constant, Cosine, FlatCosine, OneCycle, Plateau, Schedule, Step
from ichtune.training.optimizers import make_optimizer
from ichtune.training.schedules import LearningRate


def rates(schedule: Schedule, *, epochs: int, batches: int, losses: list[float] | None = None) -> list[float]:
    """The rate that each batch of a training uses, the optimizer's own being 1."""
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer(SGD(lr=1.0), [parameter])
    lr = LearningRate(schedule, optimizer, epochs=epochs, batches=batches)
    used = []
    for epoch in range(epochs):
        for _ in range(batches):
            parameter.grad = torch.ones(1)
            used.append(lr.value)
            optimizer.step()
            lr.after_batch()
        lr.after_epoch(losses[epoch] if losses else 1.0)
    return used


def half_wave(batches: int) -> list[float]:
    return [(1 + cos(pi * batch / batches)) / 2 for batch in range(batches)]


def test_constant_stays():
    assert rates(Constant(), epochs=7, batches=2) == [1.0] * 14


def test_step_drops_every_so_many_epochs():
    assert rates(Step(every=3, factor=0.1), epochs=7, batches=1) == pytest.approx(
        [1, 1, 1, 0.1, 0.1, 0.1, 0.01]
    )
    assert rates(Step(every=1, factor=0.5), epochs=3, batches=2) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_plateau_drops_when_the_loss_stalls_for_longer_than_its_patience():
    losses = [1.0, 0.9, 0.95, 0.9, 0.8, 0.85, 0.85, 0.85]
    # Patience 1 forgives one epoch: the second bad one in a row (0.9 after 0.95) drops, then the last two.
    expected = [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01]
    used = rates(Plateau(factor=0.1, patience=1), epochs=8, batches=1, losses=losses)
    assert used == pytest.approx(expected)


def test_a_loss_that_is_not_a_number_is_no_better_one():
    losses = [1.0, float("nan"), float("nan"), 0.5]
    assert rates(Plateau(factor=0.1, patience=0), epochs=4, batches=1, losses=losses) == pytest.approx(
        [1, 1, 0.1, 0.01]
    )


def test_cosine_falls_over_all_batches():
    assert rates(Cosine(), epochs=2, batches=4) == pytest.approx(half_wave(8))


def test_cosine_warms_up_linearly():
    used = rates(Cosine(warmup_epochs=1), epochs=3, batches=4)
    # From 1/4 by equal parts to 1 at the end of the first epoch.
    assert used[:4] == pytest.approx([1 / 4, 7 / 16, 10 / 16, 13 / 16])
    assert used[4:] == pytest.approx(half_wave(8))


def test_a_warmup_longer_than_the_training_just_rises():
    used = rates(Cosine(warmup_epochs=5), epochs=2, batches=2)
    assert used == pytest.approx([0.1, 0.19, 0.28, 0.37])


def test_a_cosine_with_drops_goes_on_at_a_fraction_of_its_rate():
    losses = [9.0, 1.0, 1.1, 1.2, 0.5]
    used = rates(Cosine(warmup_epochs=1, drop=0.1, drop_patience=0), epochs=5, batches=2, losses=losses)
    wave = half_wave(8)
    # Better than the warm-up's in epoch 2; worse in 3 and 4, after each of which it drops.
    assert used[:2] == pytest.approx([1 / 2, 3 / 4])
    assert used[2:6] == pytest.approx(wave[:4])
    assert used[6:8] == pytest.approx([rate / 10 for rate in wave[4:6]])
    assert used[8:] == pytest.approx([rate / 100 for rate in wave[6:]])


def test_a_loss_that_rises_in_the_warmup_drops_nothing():
    schedule = Cosine(warmup_epochs=3, drop=0.1, drop_patience=0)
    used = rates(schedule, epochs=5, batches=2, losses=[1.0, 2.0, 3.0, 2.5, 2.0])
    assert used == pytest.approx(rates(Cosine(warmup_epochs=3), epochs=5, batches=2))


def test_a_cosine_with_drops_resumes_where_it_was():
    schedule = Cosine(drop=0.1, drop_patience=1)

    def begun() -> tuple[torch.optim.Optimizer, LearningRate]:
        optimizer = make_optimizer(SGD(lr=1.0), [nn.Parameter(torch.zeros(1))])
        return optimizer, LearningRate(schedule, optimizer, epochs=6, batches=1)

    def go_on(optimizer: torch.optim.Optimizer, lr: LearningRate, losses: list[float]) -> list[float]:
        used = []
        for loss in losses:
            optimizer.step()
            lr.after_batch()
            lr.after_epoch(loss)
            used.append(lr.value)
        return used

    optimizer, lr = begun()
    go_on(optimizer, lr, [1.0, 1.1])
    state = deepcopy((optimizer.state_dict(), lr.state_dict()))
    resumed, later = begun()
    resumed.load_state_dict(state[0])
    later.load_state_dict(state[1])
    rest = [1.2, 1.3, 1.4]
    expected = go_on(optimizer, lr, rest)
    assert go_on(resumed, later, rest) == expected
    assert expected[0] == pytest.approx(0.1 * half_wave(6)[3])


def test_flat_cosine_stays_and_then_falls():
    assert rates(FlatCosine(flat=0.5), epochs=2, batches=4) == pytest.approx([1] * 4 + half_wave(4))
    assert rates(FlatCosine(flat=0.0), epochs=1, batches=4) == pytest.approx(half_wave(4))


def test_one_cycle_rises_to_the_rate_and_falls_to_nearly_nothing():
    used = rates(OneCycle(warmup=0.5), epochs=2, batches=4)
    # Torch's one cycle: from 1/25 along a cosine to 1 at batch 8 * 0.5 - 1, then to 1/25/10,000 at the last.
    assert used[0] == pytest.approx(1 / 25)
    assert used[3] == pytest.approx(1)
    assert used[-1] == pytest.approx(1 / 25 / 1e4)
    assert used[1] == pytest.approx(1 / 25 + (1 - 1 / 25) * (1 - cos(pi / 3)) / 2)


@pytest.mark.parametrize("warmup", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("batches", [1, 2, 3, 10])
def test_one_cycle_works_however_short_the_training(warmup, batches):
    used = rates(OneCycle(warmup=warmup), epochs=1, batches=batches)
    assert all(0 < rate <= 1 for rate in used)


def test_one_cycle_leaves_the_momentum_alone():
    optimizer = make_optimizer(SGD(momentum=0.3), [nn.Parameter(torch.zeros(1))])
    LearningRate(OneCycle(), optimizer, epochs=2, batches=3)
    assert optimizer.param_groups[0]["momentum"] == 0.3


@pytest.mark.parametrize(
    "schedule",
    [Constant(), Step(every=1), Plateau(patience=0), Cosine(warmup_epochs=1), OneCycle(), FlatCosine()],
)
def test_groups_keep_the_ratio_of_their_rates(schedule: Schedule):
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [one], "lr": rate} for one, rate in zip(parameters, (1e-6, 1e-9), strict=True)]
    optimizer = make_optimizer(SGD(lr=1e-6), groups)
    lr = LearningRate(schedule, optimizer, epochs=4, batches=3)
    for _ in range(4):
        for _ in range(3):
            head, backbone = (group["lr"] for group in optimizer.param_groups)
            assert head > 0
            assert backbone == pytest.approx(head / 1000, rel=1e-9, abs=0)
            optimizer.step()
            lr.after_batch()
        lr.after_epoch(1.0)
