"""The page of `mamc export --web`: its files, and in headless Chromium."""

import io
import json
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import exported
import numpy as np
import pytest
from PIL import Image

from mamc_keras import MAMCImageClassifier
from mamc_keras import lite
from mamc_keras.evaluation.stored_calibration import Calibration
from mamc_keras.evaluation.unknown import class_prototypes
from mamc_keras.export import npm
from mamc_keras.export import web
from mamc_keras.export.litert import export_litert

ROOT = Path(__file__).parents[1]
DRIVER = ROOT / "build" / "browser" / "node_modules" / "playwright-core"
CORE, UTILS = npm.PACKAGES
PAGE_FILES = {path.name for path in web.PAGE.iterdir()}


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Stand-ins for what npm gives, so that no network is needed."""
    text = 'import { a } from "@litertjs/wasm-utils";\n//# sourceMappingURL=b\n'
    names = dict.fromkeys(web.CORE, "x") | {"dist/index.js": text}
    files = {
        CORE: archive(tmp_path / "core.tgz", names),
        UTILS: archive(tmp_path / "utils.tgz", {"dist/index.js": "y"}),
    }
    monkeypatch.setattr(web, "package", files.__getitem__)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "full.tflite"
    return export_litert(exported.trained(), path, "float16", None, "full")


def test_page_from_a_file(full, packages, tmp_path):
    page = web.export_web(full, tmp_path / "page")
    folder = page.parent
    assert page == tmp_path / "page" / "index.html"
    names = {path.name for path in folder.iterdir()}
    assert names == PAGE_FILES | {
        *("model.tflite", "labels.json", "mamc.json", "litert")
    }
    assert json.loads((folder / "labels.json").read_text()) == [*exported.NAMES]
    settings = json.loads((folder / "mamc.json").read_text())
    assert settings["image_size"] == [exported.SIZE, exported.SIZE]
    script = (folder / "litert" / "index.js").read_text()
    assert script == 'import { a } from "./wasm-utils.js";\n'
    web.export_web(full, tmp_path / "page")  # An older page is replaced.
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_page_from_a_calibrated_model(packages, tmp_path):
    model = exported.classifier()
    photos, labels = exported.photos(4)
    prototypes = class_prototypes(model.embed(photos), labels, 4)
    model.calibration = Calibration(
        2.0, "prototype", 0.9, 0.05, 100, prototypes.astype("float16")
    )
    folder = web.export_web(model, tmp_path / "page").parent
    written = json.loads((folder / "prototypes.json").read_text())
    np.testing.assert_allclose(written, prototypes, atol=1e-3)
    settings = json.loads((folder / "mamc.json").read_text())
    assert settings["unknown"]["score"] == "prototype"
    assert not (folder / "labels.txt").exists()


def test_other_files_and_folders_are_refused(full, packages, tmp_path):
    path = export_litert(exported.trained(), tmp_path / "small.tflite")
    with pytest.raises(ValueError, match="--layouts full"):
        web.export_web(path, tmp_path / "page")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="replace something else"):
        web.export_web(full, tmp_path / "mine")
    assert not (tmp_path / "page").exists()
    with pytest.raises(FileNotFoundError, match="no such model file"):
        web.export_web(tmp_path / "none.tflite", tmp_path / "page")


def test_missing_npm_and_other_content_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMC_KERAS_CACHE", str(tmp_path))
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="no npm on this machine"):
        npm.package(CORE)
    monkeypatch.setattr(npm.shutil, "which", lambda name: "false")
    with pytest.raises(ValueError, match="could not fetch .* Connect"):
        npm.package(CORE)

    def packed(name, folder):
        (folder / "a.tgz").write_bytes(b"other")
        return folder.glob("*.tgz")

    monkeypatch.setattr(npm, "_pack", packed)
    with pytest.raises(ValueError, match="not the one that was tested"):
        npm.package(CORE)
    assert list((tmp_path / "npm").iterdir()) == []
    digest = npm._integrity(archive(tmp_path / "b", {}))
    monkeypatch.setitem(npm.PACKAGES, CORE, digest)
    kept = tmp_path / "npm" / "litertjs-core-2.5.3.tgz"
    shutil.copy(tmp_path / "b", kept)
    assert npm.package(CORE) == kept  # npm is not asked again.


def test_page_names_no_other_host():
    for path in web.PAGE.iterdir():
        text = path.read_text("utf-8")
        if path.name != "LICENSE.txt":
            found = re.findall(r"https?://[^\s\"']*", text)
            assert set(found) <= {"http://www.w3.org/2000/svg"}, path.name
        assert "innerHTML" not in text and " onclick" not in text
    html = (web.PAGE / "index.html").read_text("utf-8")
    (policy,) = re.findall(r'Security-Policy" content="([^"]*)"', html)
    rules = dict(rule.split(maxsplit=1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("script-src") == "'self' 'wasm-unsafe-eval'"
    assert set(rules.values()) == {"'self'", "'none'"}


# === In Chromium ===


def shipped_page(folder, variant, photos):
    model = MAMCImageClassifier.from_preset("grocery81_lite0")
    if variant != web.VARIANT:
        pixels = [
            lite.resize(lite.read_image(photo), model.image_size)
            for photo in photos
        ]
        file = folder.with_name(f"full_{variant}.tflite")
        model = export_litert(model, file, variant, np.stack(pixels), "full")
    return web.export_web(model, folder).parent


def real_photos(shared, folder):
    """Seven photos of the test split, and one as large as a phone's."""
    test = sorted((shared / "data" / "grocery81" / "test").glob("*/*"))
    photos = test[5 :: len(test) // 7][:7]
    large = folder / "large.jpg"
    with Image.open(photos[3]) as image:
        image.resize((4000, 3000), Image.Resampling.BICUBIC).save(large)
    turned = folder / "turned.jpg"  # EXIF 6: a quarter to the right
    with Image.open(photos[1]) as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.resize((600, 450)).save(turned, exif=exif, quality=95)
    return [*photos, large, turned]


def drive(page, photos, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ["-m", "http.server", "--bind", "127.0.0.1", str(port)]
    no_photo = folder / "no.jpg"
    no_photo.write_bytes(b"no photo")
    shots = [
        (scheme, width, str(folder / f"{scheme}_{width}.png"))
        for scheme in ("light", "dark")
        for width in (1100, 360)
    ]
    job = {
        "driver": str(DRIVER),
        "chromium": shutil.which("chromium"),
        "port": port,
        "server": [sys.executable, *server, "--directory", str(page)],
        "photos": [str(photo) for photo in photos],
        "shown": str(photos[1]),
        "no_photo": str(no_photo),
        "shots": shots,
    }
    (folder / "job.json").write_text(json.dumps(job))
    script = Path(__file__).parent / "scripts" / "browser.cjs"
    done = subprocess.run(
        ["node", str(script), str(folder / "job.json")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), {f"127.0.0.1:{port}"}


@pytest.mark.slow
@pytest.mark.parametrize("variant", [web.VARIANT, "int8"])
def test_browser_gives_the_scores_of_python(variant, shared, tmp_path):
    missing = [n for n in ("node", "npm", "chromium") if not shutil.which(n)]
    if missing or not DRIVER.is_dir():
        what = ", ".join([*missing, "" if DRIVER.is_dir() else DRIVER.name])
        pytest.skip(f"No browser to drive ({what}): run make browser.")
    photos = real_photos(shared, tmp_path)
    page = shipped_page(tmp_path / "page", variant, photos)
    found, own = drive(page, photos, tmp_path)
    assert found["errors"] == []
    assert set(found["hosts"]) == own  # Nobody else was asked.
    assert found["focused"] == "file"  # by the first Tab
    assert max(found["wide"]) <= 0  # nothing to scroll sideways, 360 px too
    classifier = lite.Classifier(page / "model.tflite")
    unknown = (page / "prototypes.json").exists()
    for photo, shown in zip(photos, found["photos"], strict=True):
        scores = classifier.predict(photo)
        names = dict(zip(classifier.class_names, scores, strict=True))
        assert shown["names"][0] == classifier.top(photo, 1)[0][0]
        expected = [names[name] for name in shown["names"]]
        # WebAssembly's products of int8 round otherwise.
        near = 0.01 if variant == web.VARIANT else 0.15
        np.testing.assert_allclose(shown["scores"], expected, atol=near)
        assert len(shown["maps"]) == len(classifier.attend(photo))
        if unknown:
            assert shown["unknown"] == classifier.is_unknown(photo)
    # The server was stopped before this one.
    assert found["offline"]["names"] == found["photos"][0]["names"]
