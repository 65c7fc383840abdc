"""The viewer's page in a real browser, used with a real mouse and keyboard."""

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image

from ichtune.data.phantom.write import write_phantoms
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.viewer.server import ViewerServer
from tests.made_up.chromium import Chromium, find_chromium
from tests.made_up.models import write_model_folder
from tests.made_up.viewers import running_viewer, write_steps

CPU, WEBGL = "--disable-3d-apis", "--enable-unsafe-swiftshader"
SCORED = "document.querySelector('output')?.textContent.includes(' ')"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return TrainedModel.open(write_model_folder(tmp_path_factory.mktemp("model") / "model"))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up head's study."""
    folder = tmp_path_factory.mktemp("phantom") / "rsna"
    write_phantoms(folder, patients=1, size=64, workers=1)
    return folder / "stage_2_train"


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Chromium]]:
    if find_chromium() is None:
        pytest.skip("needs Chromium or Chrome")
    folder = tmp_path_factory.mktemp("browser")
    with Chromium.open(folder / "cpu", CPU) as cpu, Chromium.open(folder / "webgl", WEBGL) as webgl:
        yield {CPU: cpu, WEBGL: webgl}


@pytest.fixture
def browser(browsers: dict[str, Chromium]) -> Chromium:
    return browsers[CPU]


def show(browser: Chromium, viewer: ViewerServer, width: int = 1280) -> None:
    """The page from the beginning, with the study scored if one is open."""
    browser.go("about:blank", width)
    browser.go(viewer.url, width)
    browser.wait("document.querySelector('#names').children.length == 6")
    if viewer.session.opened is not None:
        browser.wait(SCORED)


def slice_shown(browser: Chromium) -> int:
    """The number of the slice as the page says it, from 1."""
    return int(browser.run("document.querySelector('#where').textContent.match(/slice (\\d+) of/)[1]"))


def text(browser: Chromium, selector: str) -> str:
    return browser.run(f"document.querySelector('{selector}').textContent").strip()


def drawn(browser: Chromium) -> np.ndarray:
    """The viewport's grey values, [H, W]."""
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    x, y, w, h = browser.run(
        "(() => { const b = document.querySelector('#viewport').getBoundingClientRect();"
        " return [b.x + scrollX, b.y + scrollY, b.width, b.height].map(Math.round); })()"
    )
    return np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L"))[y : y + h, x : x + w]


def middle_grey(browser: Chromium) -> int:
    grey = drawn(browser)
    return int(grey[grey.shape[0] // 2, grey.shape[1] // 2])


def test_a_folders_study_is_open_with_the_models_probabilities_and_decisions(
    browser: Chromium, model: TrainedModel, phantom: Path
):
    files = sorted(map(pydicom.dcmread, phantom.glob("*.dcm")), key=lambda ds: ds.ImagePositionPatient[2])
    hu = [(ds.pixel_array * ds.RescaleSlope + ds.RescaleIntercept).astype(np.int16) for ds in files]
    seen = np.stack([cv2.resize(one, (32, 32), interpolation=cv2.INTER_AREA) for one in hu])
    expected = model.predict(seen)
    with running_viewer(model, phantom) as viewer:
        show(browser, viewer)
        place = slice_shown(browser) - 1
        rows = browser.run(
            "[...document.querySelectorAll('#answers tbody tr')].map("
            "(row) => [...row.cells].map((cell) => cell.textContent.trim()))"
        )
    assert [row[0] for row in rows] == list(LABELS)
    for label, (_name, shown, decision, count, highest) in enumerate(rows):
        of_label = expected[:, label]
        assert float(shown.split()[0]) == pytest.approx(of_label[place], abs=0.0051)
        assert decision == ("present" if of_label[place] >= 0.5 else "absent")
        assert count == f"{(of_label >= 0.5).sum()}/{len(files)}"
        assert of_label[int(highest) - 1] == pytest.approx(of_label.max(), abs=1e-6)


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.02216, "0.0222 < 0.0224"),
        (0.02238, "0.02238 < 0.02239"),
        (0.02239, "0.02 ≥ 0.02"),
        (0.1, "0.10 ≥ 0.02"),
    ],
)
def test_a_probability_near_its_threshold_has_the_digits_that_tell_them_apart(
    browser: Chromium, model: TrainedModel, probability: float, shown: str
):
    with running_viewer(model) as viewer:
        show(browser, viewer)
        found = browser.run(
            "import('./answers.js').then(({ makeAnswers }) => {"
            " const body = document.createElement('table').createTBody();"
            f" makeAnswers(body, ['any'], [0.02239], {{}})({{ probabilities: [[{probability}]], slice: 0 }});"
            " return body.querySelector('output').textContent; })"
        )
    assert found == shown


@pytest.mark.parametrize("rendering", [CPU, WEBGL])
def test_a_slice_looks_as_its_window_says_whichever_way_it_is_drawn(
    browsers: dict[str, Chromium], model: TrainedModel, tmp_path: Path, rendering: str
):
    browser = browsers[rendering]
    with running_viewer(model, write_steps(tmp_path / "study", 9)) as viewer:
        show(browser, viewer)
        assert slice_shown(browser) == 5  # of 40 HU
        assert middle_grey(browser) == pytest.approx(255 * 40 / 80, abs=3)  # brain: 0 to 80 HU
        browser.press("ArrowRight")
        browser.wait("document.querySelector('#where').textContent.includes('slice 6 of 9')")
        assert middle_grey(browser) == pytest.approx(255 * 50 / 80, abs=3)
        browser.press("2")
        assert text(browser, "#shown").startswith("window 80/200")
        assert middle_grey(browser) == pytest.approx(255 * 70 / 200, abs=3)  # subdural: -20 to 180 HU
        browser.point(browser.center("#viewport"))
        assert text(browser, "#shown") == "window 80/200, 50 HU here"
        assert browser.errors == []


def test_the_slice_clicked_in_the_strip_is_shown(browser: Chromium, model: TrainedModel, tmp_path: Path):
    with running_viewer(model, write_steps(tmp_path / "study", 9)) as viewer:
        show(browser, viewer)
        left, width, y = browser.run(
            "(() => { const b = document.querySelector('#strip').getBoundingClientRect();"
            " return [b.x, b.width, b.y + b.height / 2]; })()"
        )
        for place in (7, 0, 8, 2):
            at = (left + width * (place + 0.5) / 9, y)
            browser.drag(at, at)
            assert slice_shown(browser) == place + 1
            assert middle_grey(browser) == pytest.approx(255 * min(1, 10 * place / 80), abs=3)


def test_keys_and_the_wheel_scroll_and_stop_at_the_ends(
    browser: Chromium, model: TrainedModel, tmp_path: Path
):
    with running_viewer(model, write_steps(tmp_path / "study", 9)) as viewer:
        show(browser, viewer)
        for key, expected in [("ArrowDown", 6), ("ArrowUp", 5), ("ArrowLeft", 4), ("End", 9), ("Home", 1)]:
            browser.press(key)
            assert slice_shown(browser) == expected, key
            browser.wait("document.querySelector('#shown').textContent.startsWith('window 40/80')")
            assert browser.run("document.querySelector('#strip').getAttribute('aria-valuenow')") == str(
                expected
            )
        browser.press("ArrowLeft")
        assert slice_shown(browser) == 1
        browser.wheel(browser.center("#viewport"), 120)
        browser.wait("document.querySelector('#where').textContent.includes('slice 2 of 9')")
        browser.wheel(browser.center("#viewport"), -120)
        browser.wait("document.querySelector('#where').textContent.includes('slice 1 of 9')")


def test_dragging_changes_the_window_and_reset_brings_it_back(
    browser: Chromium, model: TrainedModel, tmp_path: Path
):
    with running_viewer(model, write_steps(tmp_path / "study", 9)) as viewer:
        show(browser, viewer)
        x, y = browser.center("#viewport")
        browser.drag((x, y), (x + 30, y + 10))
        assert text(browser, "#shown").startswith("window 50/110")
        assert middle_grey(browser) == pytest.approx(255 * 45 / 110, abs=3)  # 40 HU in -5 to 105 HU
        browser.click("#reset")
        assert text(browser, "#shown").startswith("window 40/80")


def test_the_map_of_the_chosen_label_lies_on_the_slice_and_follows_it(
    browser: Chromium, model: TrainedModel, phantom: Path
):
    with running_viewer(model, phantom) as viewer:
        show(browser, viewer)
        opened, place = viewer.session.study(1), slice_shown(browser) - 1
        browser.press("m")
        for moved, label in enumerate(("any", "subdural")):
            browser.click(f"#answers tr:nth-child({LABELS.index(label) + 1}) th button")
            shown = f"/slices/{place + moved}/{LABELS.index(label)}"
            browser.wait(f"document.querySelector('#overlay').dataset.shown.endsWith('{shown}')")
            expected = opened.map(0, place + moved, LABELS.index(label))
            alpha = overlay_alpha(browser)
            # The canvas has the slice of 64 x 64 in its middle, as high as itself, at 60 % of the map's opacity.
            side = alpha.shape[0]
            left = (alpha.shape[1] - side) // 2
            small = cv2.resize(alpha[:, left : left + side], (64, 64), interpolation=cv2.INTER_AREA)
            np.testing.assert_allclose(small[4:-4, 4:-4], 0.6 * expected[4:-4, 4:-4], atol=12)
            browser.press("ArrowRight")
        browser.press("m")
        assert not overlay_alpha(browser).any()


def overlay_alpha(browser: Chromium) -> np.ndarray:
    """The opacity of the map's canvas, float32 [H, W] in 0..255."""
    height, width, alpha = browser.run(
        "(() => { const c = document.querySelector('#overlay');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " return [c.height, c.width, [...d.filter((_, at) => at % 4 == 3)]]; })()"
    )
    return np.array(alpha, np.float32).reshape(height, width)


def test_every_control_is_reached_and_worked_by_keyboard(
    browser: Chromium, model: TrainedModel, tmp_path: Path
):
    with running_viewer(model, write_steps(tmp_path / "study", 9)) as viewer:
        show(browser, viewer)
        reached = []
        for _ in range(40):
            browser.press("Tab")
            reached.append(browser.run("document.activeElement.id || document.activeElement.textContent"))
        for control in (
            "open-files",
            "open-folder",
            "show-keys",
            "bone",
            "reset",
            "strip",
            "epidural",
            "summary",
        ):
            assert any(control in name for name in reached) or control == "summary", control
        browser.press("?")
        assert browser.run("document.querySelector('#keys').open")
        assert "next slice" in text(browser, "#keys")


def test_a_dropped_study_is_opened_and_a_malformed_file_is_a_message(
    browser: Chromium, model: TrainedModel, tmp_path: Path
):
    folder = write_steps(tmp_path / "study", 4)
    bad = tmp_path / "bad.dcm"
    bad.write_bytes((folder / "01.dcm").read_bytes()[:-100])
    with running_viewer(model) as viewer:
        show(browser, viewer)
        browser.drop(browser.center("#viewport"), [folder, bad])
        browser.wait(SCORED)
        assert "of 4, z" in text(browser, "#where")
        assert text(browser, "#messages h2") == "1 of 5 files is not shown"
        assert text(browser, "#messages li").startswith("bad.dcm: truncated: 4,508 bytes of pixel data")
        browser.click("#messages button")
        assert browser.run("document.querySelector('#messages').hidden")


def test_a_dropped_file_that_is_no_slice_leaves_the_study_open(
    browser: Chromium, model: TrainedModel, tmp_path: Path
):
    nonsense = tmp_path / "<b>nonsense.dcm"
    nonsense.write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)))
    with running_viewer(model, write_steps(tmp_path / "study", 4)) as viewer:
        show(browser, viewer)
        browser.drop(browser.center("#viewport"), [nonsense])
        browser.wait("!document.querySelector('#messages').hidden")
        assert text(browser, "#messages h2") == "This file has no CT slice"
        assert text(browser, "#messages li").startswith("<b>nonsense.dcm: ")
        assert "of 4, z" in text(browser, "#where")
        browser.press("End")
        assert slice_shown(browser) == 4
        assert browser.errors == []


def test_more_than_a_study_may_have_is_a_message(browser: Chromium, model: TrainedModel, tmp_path: Path):
    large = tmp_path / "large.dcm"
    large.write_bytes(b"\0" * (3 << 20))
    with running_viewer(model, most=2 << 20) as viewer:
        show(browser, viewer)
        browser.drop(browser.center("#viewport"), [large])
        browser.wait("!document.querySelector('#messages').hidden")
        assert text(browser, "#messages h2") == "3 MiB of files are more than the 2 MiB that a study may have"
        assert "--max-upload" in text(browser, "#messages li")


def test_the_page_without_its_token_says_what_to_do(browser: Chromium, model: TrainedModel):
    with running_viewer(model) as viewer:
        browser.go("about:blank", 1280)
        browser.go(viewer.url.partition("#")[0], 1280)
        browser.wait("!document.querySelector('#messages').hidden")
        assert text(browser, "#messages li") == "open the whole address that the terminal shows"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_the_screen_and_asks_nobody_else(
    browser: Chromium, model: TrainedModel, phantom: Path, width: int, scheme: str
):
    browser.prefer(scheme)
    with running_viewer(model, phantom) as viewer:
        show(browser, viewer, width)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.errors == []
        asked = {url for url in browser.requested if not url.startswith(("data:", "about:"))}
        assert asked
        assert all(url.startswith(f"http://127.0.0.1:{viewer.server_port}/") for url in asked)
        assert text(browser, "#disclaimer") == "Research software, not a medical device"
        light = browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)"
        assert light == (scheme == "light")


def test_nothing_that_was_dropped_stays_on_disk(
    model: TrainedModel,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
):
    if find_chromium() is None:
        pytest.skip("needs Chromium or Chrome")
    mark = np.frombuffer(b"A study that nobody shall find!!", "<i2")
    write_steps(
        tmp_path / "study", 3, PixelData=np.tile(mark, 48 * 48 // 16).tobytes(), RescaleIntercept=-9000
    )
    here = tmp_path_factory.mktemp("h")  # short, for the browser's sockets
    for variable in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        (here / variable).mkdir(parents=True)
        monkeypatch.setenv(variable, str(here / variable))
    monkeypatch.chdir(here)
    with Chromium.open(here / "profile", CPU) as browser, running_viewer(model) as viewer:
        show(browser, viewer)
        browser.drop(browser.center("#viewport"), [tmp_path / "study"])
        browser.wait(SCORED)
    written = [path for path in here.rglob("*") if path.is_file()]
    assert written  # the browser's own files
    assert not [path for path in written if mark.tobytes() in path.read_bytes()]
    assert not [path for path in written if path.suffix == ".dcm"]
