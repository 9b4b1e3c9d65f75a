"""Puts templates/ and static/ into the wheel; everything else about it is in pyproject.toml."""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithFiles(build_py):
    """Copies the folders that lie beside the packages into `pm6site/bundled`."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in ("templates", "static"):
            copytree(name, Path(self.build_lib, "pm6site", "bundled", name), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithFiles})
