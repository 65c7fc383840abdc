import pytest
import torch

from ichtune.models.precision import resolved


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ({"avx512_bf16": True, "avx2": True}, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, "float32"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_has_instructions_for_it(
    monkeypatch, instructions, expected
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {**instructions, "cpu_name": "bf16 in a name"})
    assert resolved("auto") == expected


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_precision_that_is_asked_for_stays(precision):
    assert resolved(precision) == precision
