"""Installs the checkout in editable form: `pip install -e .` (see the Makefile for the whole set-up).

The packages have the generic names of the checkout's folders (`datasets`, `models`, `runs`, `utils`), so no
wheel that would scatter them into an environment is offered.
"""

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel

PACKAGES = ("datasets", "models", "runs", "utils")

# torch 2.13 counts no operations for fused attention in torch.utils.flop_counter, so published costs could
# not be checked with it; decord has no wheels for macOS on ARM and Linux on ARM, where PyAV reads instead;
# PyAV 19 has no `metadata_errors`, which files with metadata that is not UTF-8 need, and before 17 the same
# videos gave other pixels than with 18 (not looked into).
REQUIREMENTS = [
    "torch>=2.11,!=2.13.*",
    "torchvision>=0.26",
    "open_clip_torch>=3.2,<4",
    "numpy>=1.26",
    "einops>=0.8",
    "decord>=0.6; (sys_platform == 'linux' and platform_machine == 'x86_64') or sys_platform == 'win32'",
    "av>=17,<19",
    "safetensors>=0.4.5",
    "pyyaml>=6.0.1",
    "simplejson>=3.19",
    "fvcore>=0.1.5.post20221221",
    "pandas>=2.2",
    "matplotlib>=3.9",
    "tqdm>=4.66",
    "psutil>=6",
]

EXTRAS = {
    "dev": [
        "pytest>=8.3",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "mypy>=1.14",
        "types-PyYAML",
        "types-psutil",
        "types-simplejson",
        "types-tqdm",
        "pandas-stubs",
    ],
    "tensorboard": ["tensorboard>=2.18"],
    "wandb": ["wandb>=0.19"],
    "torchcodec": ["torchcodec>=0.12"],  # needs the system's FFmpeg libraries
    "export": ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.2"],
    "remote": ["fsspec>=2024.10", "aiohttp>=3.9", "webdataset>=0.2.100"],  # aiohttp: fsspec's https://
    "parquet": ["pyarrow>=17"],  # runs/extract.py --output FILE.parquet
}


class NoWheel(bdist_wheel):
    """Refuses to build what is not offered, with the command that works."""

    def run(self) -> None:
        raise SystemExit("this project is used from its checkout: pip install -e .")


setup(
    name="dist-video",
    version="0.1.0",
    description="Video models on a frozen CLIP: DiST and its peers, trained and used from one YAML",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[f"{name}{rest}" for name in PACKAGES for rest in ("", ".*")]),
    package_dir={"": "."},
    cmdclass={"bdist_wheel": NoWheel},
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
)
