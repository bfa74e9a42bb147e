"""Builds the wheel: CMake makes the native modules and libhearth_core.so, setuptools packs them.

    pip install --no-build-isolation .

hearth._torch (samplers) is built against the torch of this Python and left out where there is none.
On anything but Linux the package is Python alone; `import hearth` then says so.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
VERSION = "0.1.0"


class CMakeBuild(build_ext):
    """Has CMake put what it builds where setuptools collects the package."""

    def build_extension(self, ext: Extension) -> None:
        package = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        folder = Path(self.build_temp).resolve()
        configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"]
        configure += [f"-DPython_EXECUTABLE={sys.executable}", f"-DHEARTH_PACKAGE_DIR={package}"]
        wheel = importlib.util.find_spec("nlohmann_json")
        if wheel is not None and wheel.origin:
            configure.append(f"-DHEARTH_DEPS_DIR={Path(wheel.origin).parents[1]}")
        if shutil.which("ninja"):
            configure += ["-G", "Ninja"]
        configure += os.environ.get("HEARTH_CMAKE_ARGS", "").split()
        subprocess.run(configure, check=True)
        jobs = os.environ.get("MAX_JOBS") or str(os.cpu_count() or 1)
        build = ["cmake", "--build", str(folder), "--target", "hearth_modules", "-j", jobs]
        subprocess.run(build, check=True)


class WithDefaults(build_py):
    """Packs the shipped configuration and its schema into the package, as hearth/config/."""

    def run(self) -> None:
        super().run()
        target = Path(self.build_lib) / "hearth" / "config"
        self.mkpath(str(target))
        for source in sorted((ROOT / "config").glob("*.json")):
            self.copy_file(str(source), str(target / source.name))


setup(
    name="hearth",
    version=VERSION,
    description="Keeps diffusion models warm for ComfyUI: a native model cache",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    package_dir={"": "bindings"},
    packages=["hearth", "hearth.doctor", "hearth.headless"],
    package_data={"hearth": ["py.typed", "*.pyi"]},
    ext_modules=[Extension("hearth._core", [])] if sys.platform == "linux" else [],
    cmdclass={"build_ext": CMakeBuild, "build_py": WithDefaults},
    entry_points={"console_scripts": ["hearth = hearth.cli:main"]},
    zip_safe=False,
)
