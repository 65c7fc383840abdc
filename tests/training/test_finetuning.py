"""A backbone trains at rates of its own, stage by stage, with its batch normalisation or without."""

import numpy as np
import pytest
import torch

from ichtune.models.backbones import Backbone, build_backbone
from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import (
    SGD,
    Adam,
    Constant,
    Cosine,
    Finetuning,
    FlatCosine,
    Model,
    OneCycle,
    Optimizer,
    Plateau,
    RAdam,
    Recipe,
    RMSprop,
    Schedule,
    Step,
    Training,
)
from ichtune.training.fit import fit, fit_folds_apart
from ichtune.training.parameter_groups import parameter_groups
from tests.made_up.trainings import (
    CPU,
    FOLDS,
    IMAGES,
    LABELS,
    ROWS,
    Inputs,
    assert_same_numbers,
    backbone,
    networks,
    saved_and_loaded,
    with_part,
)

SLOWER = Finetuning(backbone_rate=0.2, layer_decay=0.5)
PICTURES = Inputs(np.random.default_rng(4).standard_normal((ROWS, 1, 32, 32)))


def network() -> Network:
    return Network(backbone(), LinearHeads(3, [0], 5))


def moved(finetuning: Finetuning) -> dict[str, torch.Tensor]:
    """How far one step of SGD moves the head, the dense layer next to it, and the convolution before that."""
    recipe = Recipe(
        optimizer=SGD(lr=0.5, momentum=0.0),
        training=Training(epochs=1, batch_size=70, seed=5),
        finetuning=finetuning,
    )
    own = network()
    parts = {
        "head": own.heads.weights[0],
        "last": own.backbone.layers[4].weight,
        "first": own.backbone.layers[0].weight,
    }
    before = {name: part.detach().clone() for name, part in parts.items()}
    list(fit(own, IMAGES, LABELS, FOLDS[:1], recipe, device=CPU))
    return {name: part.detach() - before[name] for name, part in parts.items()}


def test_a_step_is_as_long_as_the_stages_rate_by_hand():
    same, slower = moved(Finetuning()), moved(SLOWER)
    # 0.2 times 0.5 for the stage next to the head, and 0.5 again for the one before it.
    for part, factor in {"head": 1.0, "last": 0.1, "first": 0.05}.items():
        assert same[part].abs().max() > 1e-4
        torch.testing.assert_close(slower[part], factor * same[part], rtol=1e-3, atol=1e-6)


def test_equal_rates_are_one_group_in_the_networks_own_order():
    own = network()
    (group,) = parameter_groups(own, 0, 0.3, Finetuning())
    assert group["lr"] == 0.3
    assert [id(one) for one in group["params"]] == [id(one) for one in own.trained_parameters(0)]


def test_the_heads_group_comes_first_and_every_parameter_has_one():
    own = network()
    groups = parameter_groups(own, 0, 0.4, SLOWER)
    assert [group["lr"] for group in groups] == pytest.approx([0.4, 0.02, 0.04])
    assert [id(one) for one in groups[0]["params"]] == [id(one) for one in own.heads.parameters_of(0)]
    assert sorted(id(one) for group in groups for one in group["params"]) == sorted(
        id(one) for one in own.trained_parameters(0)
    )


def test_a_frozen_backbone_is_in_no_group():
    frozen = Network(backbone(frozen=True), LinearHeads(3, [0], 5))
    (group,) = parameter_groups(frozen, 0, 0.3, SLOWER)
    assert [id(one) for one in group["params"]] == [id(one) for one in frozen.heads.parameters_of(0)]


def test_the_recorded_rate_is_the_heads_and_all_parameters_are_counted():
    recipe = with_part(optimizer=SGD(lr=0.1), finetuning=SLOWER)
    own = network()
    result = next(fit(own, IMAGES, LABELS, FOLDS[:1], recipe, device=CPU))
    assert result.lr == pytest.approx([0.1])
    assert result.trained_parameters == [sum(one.numel() for one in own.trained_parameters(0))]


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (Adam(lr=0.02), OneCycle()),
        (RAdam(lr=0.02), Plateau(patience=0)),
        (SGD(lr=0.02), Cosine(warmup_epochs=1)),
        (RMSprop(lr=0.02), FlatCosine()),
        (Adam(lr=0.02), Step(every=1)),
        (Adam(lr=0.02), Constant()),
    ],
)
def test_a_training_with_several_rates_resumes_bit_for_bit(
    optimizer: Optimizer, schedule: Schedule, average: float
):
    training = Training(epochs=3, batch_size=16, seed=5, average=average)
    recipe = with_part(optimizer=optimizer, schedule=schedule, finetuning=SLOWER, training=training)
    whole = list(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, recipe, device=CPU))
    first = next(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, recipe, device=CPU))
    state = saved_and_loaded(first.state())
    resumed = fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, recipe, device=CPU, resume=state)
    for result, expected in zip(resumed, whole[1:], strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)


def small(batch_norm: str) -> Backbone:
    model = Model(backbone="fcn", widths=(4, 4), weights="random", size=32, train="all")
    built = build_backbone(model, seed=1, precision="float32", batch_norm=batch_norm)
    generator = torch.Generator().manual_seed(2)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
    return built


def trained(batch_norm: str, micro_batches: int = 1, average: float = 0.9) -> tuple[dict, dict]:
    """A backbone's state before and after a training."""
    built = small(batch_norm)
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    training = Training(epochs=2, batch_size=35, seed=5, average=average)
    recipe = with_part(training=training, finetuning=Finetuning(layer_decay=0.5, batch_norm=batch_norm))
    own = Network(built, LinearHeads(built.width, [0], 5))
    list(fit(own, PICTURES, LABELS, FOLDS[:1], recipe, device=CPU, micro_batches=micro_batches))
    return before, built.state_dict()


def moving(before: dict, after: dict) -> set[str]:
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


def test_kept_batch_normalisation_stays_as_in_the_weights_while_convolutions_are_trained():
    # A residual block's norms are the second and fifth module of its body.
    norms = {name for name in small("kept").state_dict() if ".body.1." in name or ".body.4." in name}
    convolutions = {name for name in small("kept").state_dict() if name.startswith("network.")} - norms
    assert len(norms) == 2 * 2 * 5  # two blocks, two norms, five tensors
    assert moving(*trained("kept")) == convolutions
    assert moving(*trained("trained")) == convolutions | norms


def test_with_kept_batch_normalisation_split_batches_train_as_whole_ones():
    _, whole = trained("kept", average=0.0)
    _, split = trained("kept", micro_batches=5, average=0.0)
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor, split[name], rtol=1e-3, atol=1e-4)
