"""Packages of npm at one version, checked before anything reads them."""

import base64
import hashlib
import shutil
import subprocess
import tarfile

from mamc_keras.feature_cache import cache_folder
from mamc_keras.files import atomic_path

# name@version: what npm calls its integrity.
PACKAGES = {
    "@litertjs/core@2.5.3": "sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/"
    "wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    "@litertjs/wasm-utils@2.5.3": "sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h"
    "2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
}
SECONDS = 300  # for one package of 12 MB


def package(name):
    """Fetches a package once and keeps it in the cache folder.

    Args:
        name: str, one of `PACKAGES`.

    Returns:
        `Path` of its .tgz, whose content is the one that was tested.

    Raises:
        ValueError: when npm is missing, there is no connection, or the
            content is another one.
    """
    stem = name.removeprefix("@").replace("/", "-").replace("@", "-")
    path = cache_folder() / "npm" / f"{stem}.tgz"
    if path.is_file() and _integrity(path) == PACKAGES[name]:
        return path
    with atomic_path(path) as temporary:
        folder = temporary.with_suffix(".new")
        folder.mkdir()
        (packed,) = _pack(name, folder)
        found = _integrity(packed)
        if found != PACKAGES[name]:
            raise ValueError(
                "A package from npm is not the one that was tested. Received: "
                f"{name} with {found} instead of {PACKAGES[name]}. Use the "
                "public registry (npm config get registry), or try again."
            )
        packed.rename(temporary)
    return path


def extract(archive, members, folder):
    """Copies single files out of a package.

    Args:
        archive: `Path` from `package`.
        members: dict from the path in the package to the one in `folder`.
        folder: `Path`.
    """
    with tarfile.open(archive) as tar:
        for member, target in members.items():
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(f"package/{member}") as source:
                path.write_bytes(source.read())


def _pack(name, folder):
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            f"The page needs {name} from npm. Received: no npm on this "
            "machine. Install Node.js (apt-get install npm); it is needed "
            "once, the page itself needs none."
        )
    command = [npm, "pack", name, "--pack-destination", str(folder)]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip()[-300:]
    except subprocess.TimeoutExpired:
        reason = f"no answer in {SECONDS} seconds"
    else:
        return folder.glob("*.tgz")
    raise ValueError(
        f"npm could not fetch a package. Received: {name} ({reason}). Connect "
        f"to the internet once; later pages use the copy in {cache_folder()}."
    )


def _integrity(path):
    digest = hashlib.sha512(path.read_bytes()).digest()
    return f"sha512-{base64.b64encode(digest).decode()}"
