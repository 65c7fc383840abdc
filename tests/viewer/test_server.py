"""The viewer answers its own page alone, within its limits."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.viewer.server import ViewerServer
from ichtune.viewer.session import Session
from tests.made_up.dicom import write_dicom
from tests.made_up.models import write_model_folder
from tests.made_up.viewers import running_viewer, write_steps

MOST = 100_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return TrainedModel.open(write_model_folder(tmp_path_factory.mktemp("model") / "model"))


@pytest.fixture
def viewer(model: TrainedModel, tmp_path: Path) -> Iterator[ViewerServer]:
    with running_viewer(model, write_steps(tmp_path / "study", 4), MOST) as server:
        yield server


def ask(
    viewer: ViewerServer, path: str, method: str = "GET", body: bytes | None = None, **headers: str | None
) -> tuple[int, bytes, dict[str, str]]:
    """What the viewer answers to its page; `headers` change or (None) leave out what the page sends."""
    sent = {
        "Host": f"127.0.0.1:{viewer.server_port}",
        "Authorization": f"Bearer {viewer.token}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    connection = http.client.HTTPConnection("127.0.0.1", viewer.server_port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    if body is not None and "Content-Length" not in sent:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.headers)
    connection.close()
    return found


def posted(viewer: ViewerServer, path: str, body: bytes = b"") -> tuple[int, dict]:
    status, content, _headers = ask(viewer, path, "POST", body)
    return status, json.loads(content)


def test_it_listens_on_the_loopback_address_alone(viewer: ViewerServer):
    assert viewer.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["/", "/main.js", "/vendor/cornerstone.js", "/api/study"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_no_other_host_name_or_origin_is_answered(viewer: ViewerServer, path: str, headers: dict):
    headers = {name: value and value.format(port=viewer.server_port) for name, value in headers.items()}
    status, content, _headers = ask(viewer, path, **headers)
    assert status == 403
    assert json.loads(content) == {"reason": "only the viewer's own page is answered"}


@pytest.mark.parametrize(
    ("path", "destination", "status"),
    [
        ("/", "document", 200),
        ("/", "iframe", 403),
        ("/main.js", "document", 403),
        ("/api/study", "document", 403),
    ],
)
def test_a_link_from_elsewhere_leads_to_the_page_alone(viewer: ViewerServer, path, destination, status):
    followed = {
        "Sec_Fetch_Site": "cross-site",
        "Sec_Fetch_Mode": "navigate",
        "Sec_Fetch_Dest": destination,
    }
    assert ask(viewer, path, **followed)[0] == status


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}", "http://localhost:{port}"])
def test_its_own_origin_is_answered(viewer: ViewerServer, origin: str | None):
    port = viewer.server_port
    status, _content, _headers = ask(
        viewer, "/api/study", Origin=origin and origin.format(port=port), Host=f"localhost:{port}"
    )
    assert status == 200


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", "Bearer ü"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_of_a_study_is_answered_without_the_token(
    viewer: ViewerServer, method: str, given: str | None
):
    for path in ("/api/model", "/api/study", "/api/studies", "/api/studies/1/series/0/slices/0/pixels"):
        status, content, _headers = ask(viewer, path, method, b"", Authorization=given)
        assert status == 403
        assert json.loads(content) == {"reason": "open the whole address that the terminal shows"}


def test_answers_are_kept_nowhere_and_load_nothing_from_elsewhere(viewer: ViewerServer):
    for path in ("/", "/api/study", "/api/studies/1/series/0/slices/0/pixels", "/nothing"):
        _status, _content, headers = ask(viewer, path)
        assert headers["Cache-Control"] == "no-store"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "http" not in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/%2e%2e/server.py",
        "//etc/passwd",
        "/vendor/../../server.py",
        "/vendor",
        "/api/studies/9/x",
    ],
)
def test_only_the_pages_own_files_are_served(viewer: ViewerServer, path: str):
    assert ask(viewer, path)[0] == 404


def test_pixels_are_hounsfield_units_as_in_the_file(viewer: ViewerServer):
    _status, content, _headers = ask(viewer, "/api/studies/1/series/0/slices/3/pixels")
    assert (np.frombuffer(content, "<i2").reshape(48, 48)[1:] == 30).all()


def test_probabilities_are_the_models_own(viewer: ViewerServer, model: TrainedModel):
    _status, content, _headers = ask(viewer, "/api/studies/1/series/0/probabilities")
    hu = np.stack([np.full((48, 48), 10 * place, np.int16) for place in range(4)])
    hu[:, 0, 0] = np.arange(-1000, -996)
    np.testing.assert_allclose(json.loads(content), model.predict(hu), atol=1e-6)


def test_a_study_arrives_file_by_file_and_takes_the_place_of_the_one_before(
    viewer: ViewerServer, tmp_path: Path
):
    number = posted(viewer, "/api/studies")[1]["number"]
    files = sorted(write_steps(tmp_path / "next", 2, RescaleIntercept=5).iterdir())
    for file in files:
        assert posted(viewer, f"/api/studies/{number}/files?name={file.name}", file.read_bytes()) == (
            200,
            {"reason": ""},
        )
    status, reply = posted(viewer, f"/api/studies/{number}/files?name=x%20y.dcm", b"no DICOM")
    assert status == 200
    assert reply["reason"].startswith("not a DICOM file")
    study = posted(viewer, f"/api/studies/{number}/open")[1]
    assert [len(series["slices"]) for series in study["series"]] == [2]
    assert list(study["rejected"]) == ["x y.dcm"]
    assert ask(viewer, "/api/studies/1/series/0/slices/0/pixels")[0] == 404
    assert ask(viewer, f"/api/studies/{number}/series/0/slices/2/pixels")[0] == 404
    assert ask(viewer, f"/api/studies/{number}/series/0/slices/1/pixels")[0] == 200


def test_a_study_without_a_slice_leaves_the_one_before_open(viewer: ViewerServer):
    number = posted(viewer, "/api/studies")[1]["number"]
    posted(viewer, f"/api/studies/{number}/files?name=a", b"no DICOM")
    assert posted(viewer, f"/api/studies/{number}/open") == (200, None)
    assert json.loads(ask(viewer, "/api/study")[1])["number"] == 1


def test_an_upload_over_the_limit_is_refused_unread(viewer: ViewerServer):
    number = posted(viewer, "/api/studies")[1]["number"]
    path = f"/api/studies/{number}/files?name=a"
    status, content, _headers = ask(viewer, path, "POST", Content_Length=str(MOST + 1))
    assert status == 413
    assert "too large" in json.loads(content)["reason"] or "more than" in json.loads(content)["reason"]
    assert ask(viewer, path, "POST", Content_Length="9" * 400)[0] == 413
    assert ask(viewer, path, "POST")[0] == 411
    assert ask(viewer, path, "POST", Content_Length="-1")[0] == 411


def test_files_that_are_too_many_together_are_refused_and_dropped(viewer: ViewerServer, tmp_path: Path):
    number = posted(viewer, "/api/studies")[1]["number"]
    content = write_dicom(tmp_path / "a.dcm", np.zeros((150, 150), np.int16)).read_bytes()
    assert posted(viewer, f"/api/studies/{number}/files?name=a", content)[0] == 200
    assert posted(viewer, f"/api/studies/{number}/files?name=b", content[:-2] + b"\1\0")[0] == 200
    assert posted(viewer, f"/api/studies/{number}/files?name=c", content[:-2] + b"\2\0")[0] == 413
    assert posted(viewer, f"/api/studies/{number}/open")[0] == 404


def test_files_of_two_studies_at_once_are_not_mixed(viewer: ViewerServer):
    first = posted(viewer, "/api/studies")[1]["number"]
    posted(viewer, "/api/studies")
    status, reply = posted(viewer, f"/api/studies/{first}/files?name=a", b"x")
    assert (status, reply["reason"]) == (404, "another study has begun to arrive since")


def test_a_port_in_use_is_refused(viewer: ViewerServer, model: TrainedModel):
    with pytest.raises(
        InputError, match=rf"--port {viewer.server_port}: can't be used \(Address already in use\)"
    ):
        ViewerServer(Session(model, MOST), "a model", viewer.server_port)
