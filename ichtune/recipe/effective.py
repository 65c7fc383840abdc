"""The effective settings of a recipe, and a hash shared by all recipes of the same training."""

import hashlib
import json
from typing import Final

from ichtune.labels import LABELS
from ichtune.recipe.augmentation import Augmentation
from ichtune.recipe.finetuning import Finetuning
from ichtune.recipe.heads import Linear
from ichtune.recipe.phases import Phase
from ichtune.recipe.recipe import Recipe
from ichtune.recipe.sections import (
    BCE,
    SMALL,
    Adam,
    AdamW,
    Asymmetric,
    Constant,
    Cosine,
    Focal,
    Loss,
    Model,
    Optimizer,
    Schedule,
    Training,
)
from ichtune.windows import Window

# Keys that earlier versions did not have: left out where they change nothing, so that their hashes stay the same.
_LATER_KEYS: Final = {
    "model": {"neighbours": 0, "widths": None, "block_dropout": 0.0},
    "loss": {"smoothing": 0.0},
    "schedule": {"drop": None, "drop_patience": Cosine().drop_patience},
    "training": {"mixup": 0.0, "average": 0.0, "steps": None},
    "finetuning": {"backbone_rate": 1.0, "layer_decay": 1.0, "batch_norm": "trained"},
}


def recipe_hash(recipe: Recipe) -> str:
    """Return twelve hex digits, equal for recipes that define the same training (including its seed)."""
    plain = effective(recipe).model_dump(mode="json")
    for section in _LATER_KEYS:
        plain[section] = _as_before(section, plain[section])
    for phase in plain["phases"] or ():
        phase["schedule"] = _as_before("schedule", phase["schedule"])
    if isinstance(recipe.augmentation, Augmentation):  # its name trains nothing
        plain["augmentation"] = plain["augmentation"]["transforms"]
    if recipe.head == Linear():  # the only head there was at first
        del plain["head"]
    if plain["phases"] is None:
        del plain["phases"]
    if not plain["finetuning"]:
        del plain["finetuning"]
    text = json.dumps(plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _as_before(section: str, values: dict[str, object]) -> dict[str, object]:
    defaults = _LATER_KEYS[section]
    return {key: value for key, value in values.items() if key not in defaults or value != defaults[key]}


def effective(recipe: Recipe) -> Recipe:
    """Return the recipe in canonical form, without settings that have no effect.

    Windows become `C/W` (`brain` is `40/80`); widths and dropout of stages are dropped if the network has none; label
    weights that are all one are dropped; an asymmetric loss that treats both classes alike becomes focal without alpha,
    and that with gamma 0 becomes bce; AdamW without weight decay becomes Adam; a step, plateau, drop or patience that
    can't take effect within the epochs is dropped; so is fine-tuning of a frozen backbone; a single phase is a recipe
    without phases.
    """
    recipe = _effective_phases(recipe)
    changes = {
        "model": _effective_model(recipe.model),
        "loss": _effective_loss(recipe.loss),
        "optimizer": _effective_optimizer(recipe.optimizer),
        "schedule": _effective_schedule(recipe.schedule, recipe.training.epochs),
        "training": _effective_training(recipe.training),
        "finetuning": Finetuning() if recipe.model.train == "frozen" else recipe.finetuning,
    }
    return recipe.model_copy(update=changes)


def _effective_phases(recipe: Recipe) -> Recipe:
    if not recipe.phases:
        return recipe
    phases = tuple(map(_effective_phase, recipe.phases))
    if len(phases) > 1:
        return recipe.model_copy(update={"phases": phases})
    alone = {"phases": None, "optimizer": phases[0].optimizer, "schedule": phases[0].schedule}
    return recipe.model_copy(update=alone)


def _effective_phase(phase: Phase) -> Phase:
    return phase.model_copy(
        update={
            "optimizer": _effective_optimizer(phase.optimizer),
            "schedule": _effective_schedule(phase.schedule, phase.epochs),
        }
    )


def _effective_model(model: Model) -> Model:
    windows = (Window.parse(text) for text in model.windows)
    changes: dict[str, object] = {"windows": tuple(f"{float(w.center)}/{float(w.width)}" for w in windows)}
    if model.backbone not in SMALL:
        changes |= {"widths": None, "block_dropout": 0.0}
    elif model.train == "frozen":
        changes["block_dropout"] = 0.0
    return model.model_copy(update=changes)


def _effective_loss(loss: Loss) -> Loss:
    if isinstance(loss, Asymmetric) and loss.gamma_pos == loss.gamma_neg and loss.clip == 0:
        loss = Focal(gamma=loss.gamma_pos, alpha=None, label_weights=loss.label_weights)
    if isinstance(loss, Focal) and loss.gamma == 0 and loss.alpha is None:
        loss = BCE(label_weights=loss.label_weights)
    ones = (1.0,) * len(LABELS)
    neutral = [key for key in ("label_weights", "pos_weight") if getattr(loss, key, None) == ones]
    return loss.model_copy(update=dict.fromkeys(neutral))


def _effective_optimizer(optimizer: Optimizer) -> Optimizer:
    if isinstance(optimizer, AdamW) and optimizer.weight_decay == 0:
        return Adam(lr=optimizer.lr)
    return optimizer


def _effective_schedule(schedule: Schedule, epochs: int) -> Schedule:
    first_drop = {"step": "every", "plateau": "patience"}.get(schedule.name)
    if first_drop and getattr(schedule, first_drop) >= epochs:
        return Constant()
    if isinstance(schedule, Cosine) and _never_drops(schedule, epochs):
        return Cosine(warmup_epochs=schedule.warmup_epochs)
    return schedule


def _never_drops(schedule: Cosine, epochs: int) -> bool:
    return schedule.drop is None or schedule.warmup_epochs + schedule.drop_patience >= epochs


def _effective_training(training: Training) -> Training:
    never = training.patience is not None and training.patience >= training.epochs
    return training.model_copy(update={"patience": None}) if never else training
