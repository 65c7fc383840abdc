"""Losses against torch, MONAI and hand values; unknown labels leave no trace."""

import numpy as np
import pytest
import torch
from torch import nn

from ichtune.recipe import BCE, MSE, Asymmetric, Focal, Loss
from ichtune.training.losses import MaskedLoss, balanced_pos_weight, make_loss

NAN = float("nan")
LOSSES = [
    BCE(),
    BCE(pos_weight=(1, 2, 3, 4, 5, 6)),
    BCE(label_weights=(1, 1, 1, 1, 1, 2)),
    BCE(smoothing=0.2),
    Focal(),
    MSE(),
    Asymmetric(gamma_pos=1),
]


def some(folds: int = 2, rows: int = 7, unknown: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    labels = (rng.random((folds, rows, 6)) < 0.4).astype(np.float32)
    labels[rng.random(labels.shape) < unknown] = np.nan
    logits = rng.standard_normal(labels.shape).astype(np.float32) * 3
    return torch.from_numpy(logits), torch.from_numpy(labels)


def loss_of(config: Loss, train_labels: np.ndarray | None = None, folds: int = 2) -> MaskedLoss:
    train_labels = np.zeros((1, 6)) if train_labels is None else train_labels
    return make_loss(config, [train_labels] * folds, torch.device("cpu"))


def only(label: int, logit: float, truth: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A slice of which one label is known."""
    labels = torch.full((1, 1, 6), NAN)
    labels[0, 0, label] = truth
    return torch.full((1, 1, 6), logit), labels


def test_bce_is_torchs_mean_over_the_known_labels():
    logits, labels = some()
    for fold, value in enumerate(loss_of(BCE())(logits, labels)):
        known = ~labels[fold].isnan()
        assert value.item() == pytest.approx(
            nn.BCEWithLogitsLoss()(logits[fold][known], labels[fold][known]).item()
        )


def test_mse_is_on_probabilities():
    # Logit 0 is probability 0.5: (0.5 - 1)^2 = 0.25; logit ln 3 is 0.75: 0.75^2 = 0.5625.
    assert loss_of(MSE(), folds=1)(*only(0, 0.0, 1.0)).item() == pytest.approx(0.25)
    assert loss_of(MSE(), folds=1)(*only(0, np.log(3), 0.0)).item() == pytest.approx(0.5625)


def test_focal_is_monais():
    from monai.losses import FocalLoss

    logits, labels = some(unknown=0)
    for gamma, alpha in ((2.0, 0.25), (0.5, 0.9), (3.0, None)):
        values = loss_of(Focal(gamma=gamma, alpha=alpha))(logits, labels)
        for fold, value in enumerate(values):
            expected = FocalLoss(gamma=gamma, alpha=alpha)(logits[fold], labels[fold])
            assert value.item() == pytest.approx(expected.item())


def test_focal_by_hand():
    # p = 0.75: a positive costs alpha (1 - p)^2 (-ln p), a negative (1 - alpha) p^2 (-ln(1 - p)).
    loss = loss_of(Focal(gamma=2, alpha=0.25), folds=1)
    assert loss(*only(0, np.log(3), 1.0)).item() == pytest.approx(0.25 * 0.0625 * 0.2876821)
    assert loss(*only(0, np.log(3), 0.0)).item() == pytest.approx(0.75 * 0.5625 * 1.3862944)


def test_smoothing_moves_each_label_towards_one_half():
    # p = 0.75, s = 0.2: a positive is 0.9 and a negative 0.1; -ln 0.75 = 0.2876821, -ln 0.25 = 1.3862944.
    loss = loss_of(BCE(smoothing=0.2), folds=1)
    assert loss(*only(0, np.log(3), 1.0)).item() == pytest.approx(0.9 * 0.2876821 + 0.1 * 1.3862944)
    assert loss(*only(0, np.log(3), 0.0)).item() == pytest.approx(0.1 * 0.2876821 + 0.9 * 1.3862944)


def test_the_asymmetric_loss_by_hand():
    # p = 0.75, so with a margin of 0.05 q = 0.7: a positive costs 0.25^1 (-ln 0.75), a negative 0.7^2 (-ln 0.3).
    loss = loss_of(Asymmetric(gamma_pos=1, gamma_neg=2, clip=0.05), folds=1)
    assert loss(*only(0, np.log(3), 1.0)).item() == pytest.approx(0.25 * 0.2876821)
    assert loss(*only(0, np.log(3), 0.0)).item() == pytest.approx(0.49 * 1.2039728)


def test_the_asymmetric_loss_costs_nothing_for_a_negative_below_the_margin():
    # Logit -3 is probability 0.047.
    logits, labels = only(0, -3.0, 0.0)
    logits.requires_grad_()
    loss = loss_of(Asymmetric(gamma_neg=0.5), folds=1)(logits, labels)
    loss.sum().backward()
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert (logits.grad == 0).all()


def test_the_asymmetric_loss_is_focal_where_it_treats_both_classes_alike():
    logits, labels = some()
    focal = loss_of(Focal(gamma=2, alpha=None))(logits, labels)
    asymmetric = loss_of(Asymmetric(gamma_pos=2, gamma_neg=2, clip=0))(logits, labels)
    torch.testing.assert_close(asymmetric, focal)


@pytest.mark.parametrize(
    "config",
    [
        Focal(),
        BCE(smoothing=0.1),
        Asymmetric(),
        Asymmetric(gamma_pos=0.5, gamma_neg=0.5, clip=0),
        Asymmetric(gamma_neg=0.5, clip=1e-9),
    ],
    ids=str,
)
@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_a_loss_stays_finite_where_the_network_is_certain(config, truth):
    logits = torch.tensor([100.0, -100.0, 200.0, -200.0, 20.0, -20.0]).expand(1, 2, 6).clone()
    logits.requires_grad_()
    loss = loss_of(config, folds=1)(logits, torch.full((1, 2, 6), truth))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("config", LOSSES, ids=str)
def test_what_an_unknown_label_was_predicted_as_does_not_matter(config):
    logits, labels = some()
    logits.requires_grad_()
    other = torch.where(labels.isnan(), 50.0, logits)
    loss = loss_of(config)(logits, labels)
    loss.sum().backward()
    torch.testing.assert_close(loss, loss_of(config)(other, labels))
    assert (logits.grad[labels.isnan()] == 0).all()


@pytest.mark.parametrize("config", LOSSES, ids=str)
def test_rows_of_unknown_labels_change_nothing(config):
    logits, labels = some()
    more_logits = torch.cat([logits, logits[:, :2]], dim=1)
    more_labels = torch.cat([labels, torch.full((2, 2, 6), NAN)], dim=1)
    torch.testing.assert_close(loss_of(config)(more_logits, more_labels), loss_of(config)(logits, labels))


def test_nothing_known_costs_nothing():
    assert loss_of(BCE(), folds=1)(torch.zeros(1, 3, 6), torch.full((1, 3, 6), NAN)).item() == 0


def test_label_weights_make_a_weighted_mean():
    logits, labels = torch.zeros(1, 1, 6), torch.full((1, 1, 6), NAN)
    labels[0, 0, 0], labels[0, 0, 5], logits[0, 0, 5] = 1, 1, 2
    loss = loss_of(BCE(label_weights=(1, 1, 1, 1, 1, 3)), folds=1)(logits, labels)
    # -ln sigmoid(0) = 0.6931472 with weight 1, -ln sigmoid(2) = 0.1269280 with weight 3.
    assert loss.item() == pytest.approx((0.6931472 + 3 * 0.1269280) / 4)


def test_a_positive_weight_multiplies_the_positives_loss_alone():
    loss = loss_of(BCE(pos_weight=(7, 1, 1, 1, 1, 1)), folds=1)
    assert loss(*only(0, 0.0, 1.0)).item() == pytest.approx(7 * 0.6931472)
    assert loss(*only(0, 0.0, 0.0)).item() == pytest.approx(0.6931472)
    assert loss(*only(1, 0.0, 1.0)).item() == pytest.approx(0.6931472)


def test_balanced_weights_are_negatives_over_positives_of_what_is_known():
    labels = np.array([[1, 0, 1, 1, NAN], [0, 0, 1, 0, 1], [0, 0, 1, NAN, 0], [0, 0, 1, NAN, 0]])
    # No positive, or no negative: nothing to balance.
    assert balanced_pos_weight(labels).tolist() == [3, 1, 1, 1, 2]


def test_each_fold_is_balanced_by_its_own_training_part():
    rare, common = np.zeros((10, 6)), np.zeros((10, 6))
    rare[:1], common[:5] = 1, 1
    loss = make_loss(BCE(pos_weight="balanced"), [rare, common], torch.device("cpu"))
    values = loss(torch.zeros(2, 4, 6), torch.ones(2, 4, 6))
    assert values.tolist() == pytest.approx([9 * 0.6931472, 0.6931472])
