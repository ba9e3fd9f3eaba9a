#!/bin/bash
# An AArch64 Python under emulation runs models from a wheel with shipped kernels, by the NumPy
# reference, as a compiled library, and as a program that this machine planned and saved: the bits of
# all must be equal. There is no Numba in it. $MIDGE_MODELS may hold a network of MLPerf Tiny, too.
# Debian's packages for arm64 are unpacked into build/pi; nothing is installed.
# Needs apt-get, dpkg-deb, qemu-aarch64, and this repository's environment. Called by `make test-pi`.
set -eu
python=$1
wheel=${2-} # built here if not stated
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
"$python" -m midge.tools.cli compile digits --target host -o "$work/saved" >/dev/null
site=$("$python" -c 'import tflite, os; print(os.path.dirname(os.path.dirname(tflite.__file__)))')
rm -rf "$work/site" "$work/wheel" "$work/cache-midge"
mkdir -p "$work/site"
if [ -z "$wheel" ]; then
    "$python" -m midge.tools.wheel --sets neon-i8mm neon-dotprod neon -o "$work/wheel"
    wheel=$(echo "$work"/wheel/midge-*.whl)
fi
"$python" -m zipfile -e "$wheel" "$work/site"
for package in tflite flatbuffers; do ln -sfn "$site/$package" "$work/site/$package"; done
libraries=/usr/lib/aarch64-linux-gnu
for set in neon-i8mm neon-dotprod neon; do
    env -u PYTHONPATH -u PYTHONHOME MIDGE_INSTRUCTIONS=$set MIDGE_CACHE="$work/cache-midge" \
        qemu-aarch64 -L "$root" \
        -E "LD_LIBRARY_PATH=$libraries:$libraries/blas:$libraries/lapack" -E "PYTHONHOME=$root/usr" \
        -E PYTHONDONTWRITEBYTECODE=1 "$root/usr/bin/python3" - "$work" "$here" "${MIDGE_MODELS-}" <<'PROGRAM'
import os
import platform
import sys
from importlib.util import find_spec

work, here, models = sys.argv[1:]
sys.path[:0] = [f"{work}/site", f"{work}/digits"]
import numpy as np
from digits import Model

import midge
from midge.runtime.backend import build
from midge.runtime.program import Program

rng = np.random.default_rng(0)


def compare(path, *others):
    """All ways to run a model, and `others` of its input, on three of them."""
    native, reference = midge.Interpreter(path), midge.Interpreter(path, target="reference")
    for interpreter in (native, reference):
        interpreter.allocate_tensors()
    detail = native.get_input_details()[0]
    limits, mapped = np.iinfo(detail["dtype"]), midge.Model(path)
    shape, kind = detail["shape"], detail["dtype"]
    for _ in range(3):
        image = rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
        answers = [bytes(part) for run in (mapped.run, *others) for part in run(image)]
        for interpreter in (native, reference):
            interpreter.set_tensor(detail["index"], image)
            interpreter.invoke()
            index = interpreter.get_output_details()[0]["index"]
            answers.append(interpreter.get_tensor(index).tobytes())
        assert len(set(answers)) == 1, f"the bits of {path} differ"


library, saved = Model(), build(Program.load(f"{work}/saved/digits.midge"))
compare(
    f"{here}/tools/models/digits.tflite",
    library.run,
    lambda image: [answer.tobytes() for answer in saved.run([image])],
)
names = ["digits"]
larger = f"{models}/kws_ref_model.tflite"
if models and os.path.exists(larger):
    compare(larger)
    names.append("kws_ref_model")
assert find_spec("numba") is None
print(
    f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, no Numba: "
    f"Interpreter and Model ({os.environ['MIDGE_INSTRUCTIONS']}), reference, library "
    f"({library.instructions}) and a program saved elsewhere gave the same bits: {', '.join(names)}"
)
PROGRAM
done
