"""Optimizers step as torch's do with the recipe's settings."""

import subprocess
import sys

import pytest
import torch
from torch import nn, optim

from ichtune.recipe import SGD, Adam, AdamW, RAdam, RMSprop
from ichtune.training.optimizers import make_optimizer

CASES = [
    (Adam(lr=0.1, weight_decay=0.2), lambda p: optim.Adam(p, lr=0.1, weight_decay=0.2)),
    (AdamW(lr=0.1, weight_decay=0.2), lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.2)),
    (RAdam(lr=0.1, weight_decay=0.2), lambda p: optim.RAdam(p, lr=0.1, weight_decay=0.2)),
    (
        SGD(lr=0.1, weight_decay=0.2, momentum=0.5, nesterov=True),
        lambda p: optim.SGD(p, lr=0.1, weight_decay=0.2, momentum=0.5, nesterov=True),
    ),
    (
        RMSprop(lr=0.1, weight_decay=0.2, momentum=0.5),
        lambda p: optim.RMSprop(p, lr=0.1, weight_decay=0.2, momentum=0.5),
    ),
]


@pytest.mark.parametrize(("config", "torchs"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_an_optimizer_steps_as_torchs_plain_one(config, torchs):
    ours, plain = (nn.Parameter(torch.linspace(-2, 2, 5)) for _ in range(2))
    optimizers = make_optimizer(config, [ours]), torchs([plain])
    for _ in range(8):
        for parameter, optimizer in zip((ours, plain), optimizers, strict=True):
            parameter.grad = parameter.detach().cos()
            optimizer.step()
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)


def test_no_optimizer_takes_torchs_compiler_along():
    script = """
import sys, torch
from ichtune.training.optimizers import OPTIMIZERS
for make in OPTIMIZERS.values():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = make([weight], lr=0.1)
    weight.grad = torch.ones(3)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
