#!/bin/bash
# An AArch64 Python under emulation runs a model by midge's API and by a compiled library: the bits of
# both must be equal. Debian's packages for arm64 are unpacked into build/pi; nothing is installed.
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
mkdir -p "$work/site"
ln -sfn "$here" "$work/site/midge"
for package in tflite flatbuffers; do ln -sfn "$site/$package" "$work/site/$package"; done
libraries=/usr/lib/aarch64-linux-gnu
env -u PYTHONPATH -u PYTHONHOME qemu-aarch64 -L "$root" \
    -E "LD_LIBRARY_PATH=$libraries:$libraries/blas:$libraries/lapack" -E "PYTHONHOME=$root/usr" \
    -E PYTHONDONTWRITEBYTECODE=1 "$root/usr/bin/python3" - "$work" "$here" <<'PROGRAM'
import platform
import sys

work, here = sys.argv[1:]
sys.path[:0] = [f"{work}/site", f"{work}/digits"]
import numpy as np
from digits import Model

from midge import Interpreter

interpreter = Interpreter(f"{here}/tools/models/digits.tflite", target="reference")
interpreter.allocate_tensors()
detail = interpreter.get_input_details()[0]
limits = np.iinfo(detail["dtype"])
rng, library = np.random.default_rng(0), Model()
for _ in range(3):
    image = rng.integers(limits.min, limits.max, detail["shape"], detail["dtype"], endpoint=True)
    interpreter.set_tensor(detail["index"], image)
    interpreter.invoke()
    answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert library.run(image) == [answer.tobytes()], "the bits differ"
print(
    f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}: "
    f"Interpreter and library ({library.instructions}) gave the same bits"
)
PROGRAM
