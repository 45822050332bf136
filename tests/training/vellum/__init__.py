"""Tests of Vellum's making. They need the packages of the `train` extra."""

import pytest

for package in ("torch", "onnx", "safetensors", "resvg_py"):
    pytest.importorskip(package)
