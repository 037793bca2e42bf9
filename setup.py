"""Builds rescale_fast._core, the C++ core, with CMake. All else about the package is in pyproject.toml."""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """Configures and builds CMakeLists.txt, and leaves the module where setuptools expects it."""

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        build_dir = Path(self.build_temp).resolve() / ext.name
        build_dir.mkdir(parents=True, exist_ok=True)
        options = {
            "CMAKE_LIBRARY_OUTPUT_DIRECTORY": target.parent,
            "CMAKE_BUILD_TYPE": "Release",
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "RESCALE_FAST_VERSION": self.distribution.get_version(),
            "RESCALE_FAST_WERROR": os.environ.get("RESCALE_FAST_WERROR", "OFF"),
        }
        definitions = [f"-D{name}={value}" for name, value in options.items()]
        subprocess.run(["cmake", "-S", ROOT, "-B", build_dir, "-G", "Ninja", *definitions], check=True)
        subprocess.run(["cmake", "--build", build_dir], check=True)


setup(ext_modules=[Extension("rescale_fast._core", sources=[])], cmdclass={"build_ext": CMakeBuild})
