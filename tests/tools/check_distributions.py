"""Check what `python -m build` made: `python tests/tools/check_distributions.py DIST_FOLDER`.

The wheel contains every file of the four packages and nothing else; the sdist contains what the suite needs.
"""

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "lipar": ".",
    "lipar_plugins": "plugins",
    "lipar_lab": "plugins",
    "lipar_pytest.py": "plugins",
    "lipar_adapters": "adapters",
}
"""Each package and module of the wheel, and the folder of the checkout that it is in."""
SIZE_LIMIT = 20_000_000
NEEDED_IN_SDIST = {
    "LICENSE",
    "README.md",
    "CONTRIBUTING.md",
    "pyproject.toml",
    "tox.ini",
    "tests/conftest.py",
}


def files_of_checkout() -> set[str]:
    """Every file of the four packages and the pytest plugin, by its path in the wheel."""
    return {
        path.relative_to(ROOT / folder).as_posix()
        for top, folder in FOLDERS.items()
        for path in [ROOT / folder / top, *(ROOT / folder / top).rglob("*")]
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def complaints_about_wheel(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        listed = {name for name in archive.namelist() if not name.endswith("/")}
    packed = {name for name in listed if ".dist-info/" not in name}
    expected = files_of_checkout()
    complaints = [f"{wheel.name} lacks {name}" for name in sorted(expected - packed)]
    complaints += [f"{wheel.name} should not contain {name}" for name in sorted(packed - expected)]
    if not any(name.endswith("licenses/LICENSE") for name in listed):
        complaints.append(f"{wheel.name} has no licence")
    if not any(name.startswith("lipar_adapters/tiny/weights/") for name in packed):
        complaints.append(f"{wheel.name} has no weights of the bundled model")
    if wheel.stat().st_size > SIZE_LIMIT:
        complaints.append(f"{wheel.name} has {wheel.stat().st_size} bytes; the limit is {SIZE_LIMIT}")
    return complaints


def complaints_about_sdist(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        listed = {name.partition("/")[2] for name in archive.getnames()}
    needed = NEEDED_IN_SDIST | {
        f"{FOLDERS[name.partition('/')[0]]}/{name}".removeprefix("./") for name in files_of_checkout()
    }
    return [f"{sdist.name} lacks {name}" for name in sorted(needed - listed)]


def main(folder: Path) -> int:
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    complaints = [] if len(wheels) == len(sdists) == 1 else [f"expected one wheel and one sdist in {folder}"]
    complaints += [line for wheel in wheels for line in complaints_about_wheel(wheel)]
    complaints += [line for sdist in sdists for line in complaints_about_sdist(sdist)]
    print("\n".join(complaints) or f"{wheels[0].name}: {wheels[0].stat().st_size:,} bytes, complete")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
