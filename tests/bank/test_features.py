import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import safetensors.torch
import torch
from filelock import FileLock

from ichtune.bank import build as bank_build
from ichtune.bank.build import (
    Work,
    build,
    compute_chunk,
    compute_in_turn,
    finish_part,
    missing_chunks,
)
from ichtune.bank.check import verify
from ichtune.bank.features import FeatureBank, FeatureSource
from ichtune.bank.part import BankError, BankPart, is_finished
from ichtune.bank.plan import plan_parts
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inputs.images import ImageSource
from ichtune.models.backbones import build_backbone
from ichtune.recipe import Augmentation, Model
from tests.made_up.models import SQUEEZENET as MODEL


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Thirty slices are four chunks, the last of six."""
    monkeypatch.setattr(bank_build, "CHUNK_ROWS", 8)


@pytest.fixture
def store(small_store: SliceStore) -> SliceStore:
    return small_store


def plan(
    store: SliceStore, model: Model = MODEL, *, levels=("moderate",), views=2, **settings
) -> list[BankPart]:
    return plan_parts(store, [model], levels, views=views, **{"seed": 3, **settings})


def normal(store: SliceStore, model: Model = MODEL, **settings) -> BankPart:
    return plan(store, model, levels=(), **settings)[0]


def nothing_left(work: Work):
    assert not work
    return iter(())


# What the bank holds


@torch.no_grad()
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_cached_features_are_the_backbones_on_the_same_images(store, precision):
    resnet = Model(backbone="resnet18", weights="random", size=32)
    parts = plan(store, resnet, precision=precision)
    build(parts)
    cached = FeatureSource.open(store, parts, "moderate")
    images = ImageSource(store.hu, resnet, "moderate", seed=3, views=2)
    backbone = build_backbone(resnet, seed=3, precision=precision).eval()
    rows = np.random.default_rng(0).permutation(store.train)
    chunks = [rows[:5], rows[5:], rows[[0, 0]]]  # other batches than the bank's own
    for epoch in (None, 0, 1, 2):
        pairs = zip(cached.batches(chunks, epoch), images.batches(chunks, epoch), strict=True)
        for features, batch in pairs:
            assert features.dtype == torch.float32
            # float16 rounds by 2**-11. Batches of other sizes gave bit for bit the same on the CPUs we saw; the
            # rest is room for kernels that sum in another order, where bfloat16 rounds by 2**-9.
            expected = backbone(batch)
            slack = 2**-9 if precision == "bfloat16" else 2**-11
            torch.testing.assert_close(features, expected, rtol=slack, atol=slack * float(expected.std()))


def test_epochs_read_one_view_after_another_and_then_the_first_again(store):
    parts = plan(store, views=2)
    build(parts)
    source = FeatureSource.open(store, parts, "moderate")
    assert source.width == 512
    epochs = [torch.cat(list(source.batches([store.train], epoch))) for epoch in (0, 1, 2, None)]
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[3])


def test_test_slices_have_features_but_only_unaugmented_ones(store):
    parts = plan(store, views=1)
    build(parts)
    bank = FeatureBank(store, parts)
    every = bank.features(np.arange(len(store)))
    rows = np.array([store.test[0], store.train[2], store.test[0]])
    assert torch.equal(bank.features(rows), every[rows])
    with pytest.raises(
        IndexError, match=f"row {store.test[0]} is in the test set, which has no moderate features"
    ):
        bank.features(rows, "moderate")


def test_the_bank_holds_normal_once_and_each_view_of_the_other_levels(store):
    parts = plan(store, levels=("normal", "aggressive", "moderate"), views=2)
    held = {(part.key.level, part.key.view): part.count for part in parts}
    training = len(store.train)
    assert held == {
        ("normal", 0): len(store),
        **{(level, view): training for level in ("aggressive", "moderate") for view in (0, 1)},
    }


def own(name: str, *transforms: str) -> Augmentation:
    return Augmentation.parse({"name": name, "transforms": list(transforms)})


def test_lists_of_transforms_are_kept_by_their_content(store):
    flips, renamed, turns = own("flips", "HorizontalFlip"), own("mine", "HorizontalFlip"), own("flips", "D4")
    parts = plan(store, levels=(flips, turns), views=1)
    assert len({part.folder for part in parts}) == 3
    assert [part.folder for part in plan(store, levels=(renamed,), views=1)] == [
        part.folder for part in parts[:2]
    ]
    build(parts)
    bank = FeatureBank(store, parts)
    features = [bank.features(store.train, level) for level in ("normal", flips, turns)]
    assert not any(torch.equal(one, other) for one, other in combinations(features, 2))
    assert torch.equal(bank.features(store.train, renamed), features[1])


def test_a_view_or_level_that_is_not_in_the_bank_is_an_error(store):
    parts = plan(store, levels=())
    build(parts)
    with pytest.raises(BankError, match="no features of the level moderate"):
        FeatureSource.open(store, parts, "moderate")
    with pytest.raises(BankError, match="no view 1 of normal, only normal 0"):
        FeatureBank(store, parts).features(np.arange(3), "normal", 1)
    with pytest.raises(ValueError, match="one backbone, seed and precision"):
        FeatureBank(store, parts * 2)


# What features depend on


def test_models_that_differ_in_heads_alone_share_their_features(store):
    one = plan(store)
    head = MODEL.model_copy(update={"dropout": 0.5, "train": "all", "windows": ("40/80",)})
    assert plan(store, head) == one
    assert plan_parts(store, [MODEL, head], ["moderate"], views=2, seed=3) == one


@pytest.mark.parametrize(
    "change",
    [
        {"size": 32},
        {"windows": ("subdural",)},
        {"windows": ("brain", "brain")},
        {"backbone": "squeezenet1_0"},
    ],
)
def test_another_model_has_other_features(store, change):
    assert normal(store, MODEL.model_copy(update=change)).folder != normal(store).folder


def test_another_seed_has_other_views_but_the_same_plain_features(store, tmp_path):
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(build_backbone(MODEL, seed=0).state_dict(), weights)
    model = MODEL.model_copy(update={"weights": str(weights)})
    same, *views = ({part.folder for part in plan(store, model, seed=seed)} for seed in (3, 3, 4))
    assert same == views[0]
    assert len(same & views[1]) == 1
    assert normal(store, seed=3).folder != normal(store, seed=4).folder  # random weights are the seed's


def test_another_precision_library_or_store_has_other_features(store, monkeypatch):
    part = normal(store)
    assert normal(store, precision="float32").folder != normal(store, precision="bfloat16").folder
    monkeypatch.setattr("ichtune.bank.plan.version", lambda name: "99.0")
    assert normal(store).folder != part.folder
    monkeypatch.undo()
    monkeypatch.setattr(SliceStore, "fingerprint", "another")
    assert normal(store).folder != part.folder


def test_the_key_stands_readable_beside_the_features(store):
    part = plan(store)[1]
    build([part])
    assert sorted(file.name for file in part.folder.iterdir()) == [
        "features.npy",
        "features.sha256",
        "key.json",
        "lock",
    ]
    key = json.loads((part.folder / "key.json").read_text())
    assert (key["backbone"], key["level"], key["view"], key["windows"]) == (
        "squeezenet1_1",
        "moderate",
        0,
        ["40/80"],
    )
    assert any("limit=(-15.0, 15.0)" in transform for transform in key["augmentation"])
    assert np.load(part.file).shape == (len(store.train), 512)
    assert np.load(part.file).dtype == np.float16


# How it is computed


def test_a_finished_part_is_never_computed_again(store):
    parts = plan(store)
    build(parts)
    build(parts, run=nothing_left)
    build(plan(store), run=nothing_left)
    assert all(missing_chunks(part) == [] for part in parts)


def test_a_killed_build_goes_on_at_the_chunk_it_was_at(store):
    part = normal(store)

    def killed_after_three(work: Work):
        for number, (part, chunk) in enumerate(work):
            if number == 3:
                raise KeyboardInterrupt
            yield compute_chunk(part, chunk, threads=1)

    with pytest.raises(KeyboardInterrupt):
        build([part], run=killed_after_three)
    assert [chunk.index for chunk in missing_chunks(part)] == [3]
    assert missing_chunks(part)[0].rows.tolist() == list(range(24, 30))
    assert not is_finished(part)
    build([part])
    resumed = np.load(part.file)
    shutil.rmtree(part.folder)
    build([part])
    np.testing.assert_array_equal(resumed, np.load(part.file))


def test_progress_counts_the_rows_of_all_parts(store):
    told = []
    build(plan(store, views=1), progress=lambda done, total, _: told.append((done, total)))
    rows = 30 + len(store.train)
    assert told[0] == (8, rows)
    assert told[-1] == (rows, rows)


def rows_built(parts: list[BankPart]) -> int:
    """Build the parts in this process; gives how many rows it computed itself."""
    computed = []

    def count(work: Work):
        for rows in compute_in_turn(work):
            computed.append(rows)
            yield rows

    build(parts, run=count)
    return sum(computed)


def test_builders_at_the_same_time_share_the_work(store):
    parts = plan(store)
    with multiprocessing.get_context("spawn").Pool(2) as builders:
        computed = builders.map(rows_built, [parts, parts], chunksize=1)
    assert all(is_finished(part) for part in parts)
    assert sum(computed) == sum(part.count for part in parts)


def test_a_chunk_in_other_hands_is_passed_over_until_its_process_is_dead(store):
    part = normal(store)
    chunk = missing_chunks(part)[1]
    assert compute_chunk(part, missing_chunks(part)[0], threads=1) == 8  # makes the folder
    lock = part.folder / "chunks" / "000001.lock"
    code = "import sys, time, filelock as f; lock = f.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True)"
    command = [sys.executable, "-c", code + "; time.sleep(60)", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert compute_chunk(part, chunk, threads=1) == 0
        os.kill(other.pid, signal.SIGKILL)
    assert compute_chunk(part, chunk, threads=1) == 8
    assert compute_chunk(part, chunk, threads=1) == 0


def test_parts_and_chunks_travel_to_other_processes(store):
    part = plan(store)[1]
    assert pickle.loads(pickle.dumps(part)) == part
    assert len(pickle.dumps((part, missing_chunks(part)[0]))) < 4000


def test_finishing_waits_for_another_finisher_and_then_does_nothing(store):
    part = normal(store)
    for chunk in missing_chunks(part):
        compute_chunk(part, chunk, threads=1)
    other = threading.Thread(target=finish_part, args=(part,))
    with FileLock(part.folder / "lock"):
        other.start()
        other.join(0.2)
        assert not is_finished(part)
    other.join()
    finish_part(part)
    assert is_finished(part)


# What goes wrong


def flip(part: BankPart, place: int = -77) -> None:
    content = bytearray(part.file.read_bytes())
    content[place] ^= 16
    part.file.write_bytes(content)


def test_a_checksum_is_what_sha256sum_says(store):
    part = normal(store)
    build([part])
    digest = hashlib.sha256(part.file.read_bytes()).hexdigest()
    assert part.checksum.read_text() == f"{digest}  features.npy\n"


def test_features_with_a_flipped_bit_are_named_when_a_run_first_opens_them(store):
    parts = plan(store)
    build(parts)
    seen = []
    verify(parts, lambda done, total, remark: seen.append((done, total)))
    assert seen == [(30, 78), (54, 78), (78, 78)]
    flip(parts[1])
    with pytest.raises(
        BankError, match=f"{parts[1].file}: changed since .*delete the folder to recompute its"
    ):
        build(parts)
    FeatureBank(store, parts)  # each trial opens them without reading them all
    shutil.rmtree(parts[1].folder)
    build(parts)


def test_features_of_an_earlier_version_have_no_checksum_and_are_taken(store):
    part = normal(store)
    build([part])
    part.checksum.unlink()
    build([part], run=nothing_left)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda part: part.file.unlink(), "build the bank first"),
        (lambda part: os.truncate(part.file, 9000), "damaged .*delete the folder"),
        (lambda part: np.save(part.file, np.zeros((30, 511), np.float16)), r"holds float16 \(30, 511\)"),
        (
            lambda part: (part.folder / "key.json").write_text("{}"),
            "describes other features; delete the folder",
        ),
    ],
)
def test_damaged_features_are_never_read(store, damage, message):
    part = normal(store)
    build([part])
    damage(part)
    with pytest.raises(BankError, match=message):
        FeatureBank(store, [part])


def test_a_store_that_changed_since_it_was_planned_is_refused(store):
    part = normal(store)
    other = replace(part, key=replace(part.key, store="another"))
    with pytest.raises(BankError, match="this store has changed since its bank was planned"):
        build([other])
    with pytest.raises(BankError, match="belong to a store other than"):
        FeatureBank(store, [other])


def test_a_node_with_other_weights_or_libraries_is_refused(store):
    part = normal(store)
    with pytest.raises(BankError, match="differ from those the bank was planned with"):
        build([replace(part, key=replace(part.key, weights="another"))])
    with pytest.raises(
        BankError, match=r"planned with torch 1.0, but a process computing it has .*torchvision"
    ):
        build([replace(part, key=replace(part.key, versions=("torch 1.0",)))])


@pytest.mark.parametrize(("factor", "largest"), [(1e6, r"e\+"), (1e-8, "e-")])
def test_features_beyond_float16_are_an_error_that_names_the_backbone(store, tmp_path, factor, largest):
    state = build_backbone(MODEL, seed=0).state_dict()
    # All biases are 0, so everything is proportional to the first layer's weights.
    state["network.features.0.weight"] *= factor
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    part = normal(store, MODEL.model_copy(update={"weights": str(tmp_path / "weights.safetensors")}))
    with pytest.raises(
        InputError, match=rf"squeezenet1_1 with .*rows 0 to 7 \(normal, view 0\) is .*{largest}"
    ):
        build([part])
