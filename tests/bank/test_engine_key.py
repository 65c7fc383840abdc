"""A bank knows which engine computed it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ichtune.bank import compute
from ichtune.bank.build import build
from ichtune.bank.engines import kinds
from ichtune.bank.part import BankError, BankKey
from ichtune.bank.plan import plan_parts
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.recipe import Model
from tests.made_up.models import SQUEEZENET


def parts(store: SliceStore, engine: str, model: Model = SQUEEZENET):
    return plan_parts(store, [model], [], views=1, seed=3, precision="float32", engine=engine)


def test_the_key_of_a_bank_by_torch_is_that_of_earlier_versions():
    key = BankKey(
        format=1,
        store="0123456789abcdef",
        rows="fedcba9876543210",
        backbone="resnet18",
        weights="00112233",
        windows=("40/80",),
        neighbours=0,
        size=224,
        precision="bfloat16",
        level="normal",
        augmentation=(),
        seed=None,
        view=0,
        versions=("opencv 4.11", "torch 2.14"),
    )
    # By the version that had no other engine.
    assert key.digest == "e4be528e31fc3ab1dcf1"
    assert json.loads(replace(key, engine="openvino").text)["engine"] == "openvino"
    assert replace(key, engine="openvino").digest != key.digest


def test_each_engine_has_features_of_its_own_which_name_its_version(small_store):
    digests = {engine: parts(small_store, engine)[0].key for engine in ("torch", "openvino", "onnxruntime")}
    assert len({key.digest for key in digests.values()}) == 3
    for engine, key in digests.items():
        assert any(text.startswith(f"{engine} ") for text in key.versions)


def test_a_bank_by_another_engine_holds_the_same_features(small_store):
    one, other = parts(small_store, "torch"), parts(small_store, "openvino")
    build([*one, *other])
    torch, openvino = (np.load(part.file).astype(np.float32) for [part] in (one, other))
    np.testing.assert_allclose(openvino, torch, rtol=2**-10, atol=2**-10 * torch.std())


def test_a_machine_without_the_engine_is_refused_when_it_computes(small_store, monkeypatch):
    planned = parts(small_store, "openvino")
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"openvino is not installed here: .*every machine that computes features"
    ):
        build(planned)


def test_a_machine_with_another_version_of_the_engine_is_refused(small_store, monkeypatch):
    [planned] = parts(small_store, "openvino")
    other = replace(planned, key=replace(planned.key, versions=("openvino 1.0",)))
    with pytest.raises(
        BankError, match=r"planned with openvino 1.0, but a process computing it has .*openvino 20"
    ):
        build([other])


def test_engines_are_compared_with_torch_on_slices_from_all_over_the_store(small_store):
    images = compute.examples(small_store, SQUEEZENET, 8)
    assert images.shape == (8, 1, 64, 64)
    assert len({image.numpy().tobytes() for image in images}) == 8
