"""A page that classifies photos in the browser, without a server's help."""

import re
import shutil
from pathlib import Path

from mamc_keras import lite
from mamc_keras.export.npm import extract
from mamc_keras.export.npm import package
from mamc_keras.files import atomic_path
from mamc_keras.files import write_json
from mamc_keras.lite.file import open_file
from mamc_keras.lite.file import read_prototypes

PAGE = Path(__file__).parent / "web_page"
MODEL_FILE = "model.tflite"
VARIANT = "float16"  # Half the size, and no training photos are needed.
# Two builds: the second for browsers without relaxed SIMD (Safari).
BUILDS = ("litert_wasm_internal", "litert_wasm_compat_internal")
CORE = {
    "dist/index.js": "index.js",
    **{
        f"wasm/{build}{ending}": f"wasm/{build}{ending}"
        for build in BUILDS
        for ending in (".js", ".wasm")
    },
}
UTILS = {"dist/index.js": "wasm-utils.js"}


def export_web(model, folder):
    """Writes a static page that looks at photos in the browser.

    It shows the most probable classes, each branch's attention, and whether
    the photo is perhaps none of these. Any static file server will do, and
    nothing is asked of another one. LiteRT.js comes from npm, once.

    Args:
        model: `MAMCImageClassifier`; or str or Path of a .tflite file of the
            layout full, with images of the model's size.
        folder: str or Path. An older page of that name is replaced.

    Returns:
        `Path` of the page's index.html.

    Raises:
        FileNotFoundError: when there is no such .tflite file.
        ValueError: when the file is of another layout, the folder holds
            something else, or LiteRT.js cannot be fetched.
    """
    folder = Path(folder)
    _check_folder(folder)
    core = package("@litertjs/core@2.5.3")
    utils = package("@litertjs/wasm-utils@2.5.3")
    with atomic_path(folder) as temporary:
        shutil.copytree(PAGE, temporary)
        _write_model(model, temporary)
        extract(core, CORE, temporary / "litert")
        extract(utils, UTILS, temporary / "litert")
        for name in ("index.js", "wasm-utils.js"):
            _use_paths(temporary / "litert" / name)
    return folder / "index.html"


def _check_folder(folder):
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() and not (folder / MODEL_FILE).is_file():
        raise ValueError(
            "The page would replace something else. Received: "
            f"{str(folder)!r}, which holds no page. Name a new folder."
        )


def _write_model(model, folder):
    path = folder / MODEL_FILE
    if isinstance(model, str | Path):
        _check_file(model)
        shutil.copyfile(model, path)
    else:
        from mamc_keras.export.litert import export_litert

        export_litert(model, path, VARIANT, layout="full")
        (folder / lite.LABELS_FILE).unlink()  # labels.json has them.
    _, settings, _ = open_file(path, num_threads=1)
    classifier = lite.Classifier(path, num_threads=1)
    settings["image_size"] = classifier.image_size
    settings["crop_to_aspect_ratio"] = classifier.crop_to_aspect_ratio
    write_json(folder / "labels.json", classifier.class_names)
    write_json(folder / lite.SETTINGS_FILE, settings)
    prototypes = read_prototypes(path)
    if prototypes is not None:
        rows = [[round(float(x), 5) for x in row] for row in prototypes]
        write_json(folder / "prototypes.json", rows)


def _check_file(path):
    classifier = lite.Classifier(path, num_threads=1)
    interpreter, _, _ = open_file(Path(path), num_threads=1)
    signatures = interpreter.get_signature_list()
    if classifier.image_size and {"attend", "embed"} <= signatures.keys():
        return
    raise ValueError(
        "The page shows attention, of photos in the model's size. Received: "
        f"{str(path)!r} with {', '.join(signatures)}. Export it with "
        "`mamc export --layouts full`, without --any-size."
    )


def _use_paths(path):
    """Lets a script run without import map and without source map.

    An import map would stand in the page as a script of its own, which its
    Content-Security-Policy forbids.
    """
    text = path.read_text(encoding="utf-8")
    text = text.replace('"@litertjs/wasm-utils"', '"./wasm-utils.js"')
    text = re.sub(r"\n//# sourceMappingURL=.*", "", text)
    path.write_text(text, encoding="utf-8")
