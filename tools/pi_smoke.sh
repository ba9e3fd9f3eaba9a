#!/bin/bash
# An AArch64 Python under emulation runs a model from a wheel with shipped kernels, by the NumPy
# reference, and as a compiled library: the bits of all must be equal. There is no Numba in it.
# Debian's packages for arm64 are unpacked into build/pi; nothing is installed.
# Needs apt-get, dpkg-deb, qemu-aarch64, and this repository's environment. Called by `make test-pi`.
set -eu
python=$1
here=$(cd "$(dirname "$0")/.." && pwd)
work=$here/build/pi
root=$work/root
if [ ! -e "$root/usr/bin/python3" ]; then
    mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial "$root"
    touch "$work/state/status"
    apt="apt-get -qq -o Dir::State=$work/state -o Dir::State::status=$work/state/status \
        -o Dir::Cache=$work/cache -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
        -o Acquire::Languages=none"
    $apt update
    $apt install -y --download-only --no-install-recommends python3-numpy
    for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
fi
"$python" -m midge.tools.cli compile digits --target aarch64 -o "$work/digits" >/dev/null
site=$("$python" -c 'import tflite, os; print(os.path.dirname(os.path.dirname(tflite.__file__)))')
rm -rf "$work/site" "$work/wheel" "$work/cache-midge"
mkdir -p "$work/site"
"$python" -m midge.tools.wheel --sets neon-dotprod neon -o "$work/wheel"
"$python" -m zipfile -e "$work"/wheel/midge-*.whl "$work/site"
for package in tflite flatbuffers; do ln -sfn "$site/$package" "$work/site/$package"; done
libraries=/usr/lib/aarch64-linux-gnu
for set in neon-dotprod neon; do
    env -u PYTHONPATH -u PYTHONHOME MIDGE_INSTRUCTIONS=$set MIDGE_CACHE="$work/cache-midge" \
        qemu-aarch64 -L "$root" \
        -E "LD_LIBRARY_PATH=$libraries:$libraries/blas:$libraries/lapack" -E "PYTHONHOME=$root/usr" \
        -E PYTHONDONTWRITEBYTECODE=1 "$root/usr/bin/python3" - "$work" "$here" <<'PROGRAM'
import os
import platform
import sys
from importlib.util import find_spec

work, here = sys.argv[1:]
sys.path[:0] = [f"{work}/site", f"{work}/digits"]
import numpy as np
from digits import Model

import midge

path = f"{here}/tools/models/digits.tflite"
native, reference = midge.Interpreter(path), midge.Interpreter(path, target="reference")
for interpreter in (native, reference):
    interpreter.allocate_tensors()
detail = native.get_input_details()[0]
limits = np.iinfo(detail["dtype"])
rng, library, mapped = np.random.default_rng(0), Model(), midge.Model(path)
for _ in range(3):
    image = rng.integers(limits.min, limits.max, detail["shape"], detail["dtype"], endpoint=True)
    answers = library.run(image) + mapped.run(image)
    for interpreter in (native, reference):
        interpreter.set_tensor(detail["index"], image)
        interpreter.invoke()
        index = interpreter.get_output_details()[0]["index"]
        answers.append(interpreter.get_tensor(index).tobytes())
    assert len(set(answers)) == 1, "the bits differ"
assert find_spec("numba") is None
print(
    f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, no Numba: "
    f"Interpreter and Model ({os.environ['MIDGE_INSTRUCTIONS']}), reference and library "
    f"({library.instructions}) gave the same bits"
)
PROGRAM
done
