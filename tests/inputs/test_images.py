import threading

import numpy as np
import pandas as pd
import pytest
import torch

from ichtune.data.scans import Scans
from ichtune.inputs.augment import render
from ichtune.inputs.images import ImageSource
from ichtune.inputs.kept_images import KeptImages
from ichtune.recipe import Model
from ichtune.windows import WINDOWS

HU = np.random.default_rng(0).integers(-100, 150, (12, 40, 40)).astype(np.int16)
CHUNKS = [np.array([3, 1, 3]), np.array([11]), np.array([], np.int64), np.arange(12)]


def images(
    level: str = "moderate", *, epoch: int | None = 0, chunks=CHUNKS, **settings
) -> list[torch.Tensor]:
    model = Model(size=32, windows=settings.pop("windows", ("brain",)))
    source = ImageSource(HU, model, level, **{"seed": 5, "views": 3, **settings})
    return list(source.batches(chunks, epoch))


def test_images_are_the_rendered_rows_in_order_from_0_to_1():
    batches = images(epoch=1, windows=("brain", "subdural"))
    assert [tuple(batch.shape) for batch in batches] == [(n, 2, 32, 32) for n in (3, 1, 0, 12)]
    windows = [WINDOWS["brain"], WINDOWS["subdural"]]
    for rows, batch in zip(CHUNKS, batches, strict=True):
        for row, image in zip(rows.tolist(), batch, strict=True):
            expected = render([HU[row]], windows, 32, level="moderate", seed=5, view=1, row=row)
            np.testing.assert_allclose(image.numpy(), expected / 255, atol=1e-7)


def test_without_an_epoch_images_are_not_augmented():
    for plain, normal in zip(images(epoch=None), images("normal"), strict=True):
        assert torch.equal(plain, normal)


def test_epochs_show_one_view_after_another_and_then_the_first_again():
    first, second, again = (torch.cat(images(epoch=epoch)) for epoch in (0, 1, 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_the_number_of_threads_changes_nothing():
    for one, five in zip(images(threads=1), images(threads=5), strict=True):
        assert torch.equal(one, five)


def test_folds_that_share_images_get_the_same_and_render_each_once(monkeypatch):
    rendered = []

    def watched(hu, *args, **options):
        rendered.append((options["view"], options["level"], options["row"]))
        return render(hu, *args, **options)

    monkeypatch.setattr("ichtune.inputs.images.render", watched)
    model = Model(size=32)
    source = ImageSource(HU, model, "moderate", seed=5, views=3, threads=2, shared=True)
    folds = [[np.arange(8)], [np.arange(11, 3, -1)]]
    epochs = [(epoch, chunks) for epoch in (0, None, 1, None) for chunks in folds]
    found = [next(source.batches(chunks, epoch)) for epoch, chunks in epochs]
    # All 12 slices are in one of the folds: two augmented views and the plain one of each.
    assert len(rendered) == len(set(rendered)) == 3 * 12
    for (epoch, chunks), its in zip(epochs, found, strict=True):
        assert torch.equal(its, images(epoch=epoch, chunks=chunks)[0])


def test_no_more_images_are_kept_than_fit():
    kept = KeptImages((1, 2, 2), most_bytes=9)
    kept.begin(0)
    for row in range(3):
        kept.keep(row, np.full((1, 2, 2), row, np.uint8))
    assert [kept.get(row) is not None for row in range(3)] == [True, True, False]
    kept.begin(1)
    assert kept.get(0) is None


def test_stopping_halfway_leaves_no_thread_behind():
    model = Model(size=32)
    batches = ImageSource(HU, model, "moderate", seed=0, views=1, threads=3).batches(CHUNKS * 50, 0)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("render")]


def test_an_error_while_rendering_reaches_the_reader():
    with pytest.raises(IndexError):
        images(chunks=[np.array([12])])


def scans_of(z: list[float]) -> Scans:
    """The scans of `HU`: two series of one patient, of six slices each."""
    table = pd.DataFrame(
        {
            "source": "made up",
            "patient_id": "p",
            "study_id": "s",
            "series_id": np.repeat(["a", "b"], 6),
            "z_mm": z,
        }
    )
    return Scans.of(table)


def test_neighbours_are_the_slices_before_and_after_in_the_scan_and_the_slice_itself_at_its_ends():
    upside_down = scans_of([50, 40, 30, 20, 10, 0, 0, 1, 2, 3, 4, 5])
    model = Model(size=32, windows=("brain", "subdural"), neighbours=1)
    source = ImageSource(HU, model, "moderate", seed=5, views=1, scans=upside_down)
    (batch,) = source.batches([np.array([0, 3, 6])], 0)
    windows = [WINDOWS["brain"], WINDOWS["subdural"]]
    for row, seen, image in zip([0, 3, 6], [[1, 0, 0], [4, 3, 2], [6, 6, 7]], batch, strict=True):
        expected = render([HU[one] for one in seen], windows, 32, level="moderate", seed=5, row=row)
        assert expected.shape == (6, 32, 32)
        np.testing.assert_allclose(image.numpy(), expected / 255, atol=1e-7)


def test_slices_without_a_position_stand_in_for_their_neighbours():
    model = Model(size=32, neighbours=2)
    source = ImageSource(HU, model, "normal", seed=5, views=1, scans=scans_of([np.nan] * 12))
    (batch,) = source.batches([np.arange(12)], None)
    assert torch.equal(batch, batch[:, :1].expand(-1, 5, -1, -1))


def test_a_model_that_reads_neighbours_needs_scans():
    with pytest.raises(ValueError, match="needs the slices' scans"):
        ImageSource(HU, Model(neighbours=1), "normal", seed=0, views=1)
