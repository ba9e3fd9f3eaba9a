"""An MLServer runtime that hosts one ONNX file; `midge split export-tail --mlserver` copies it.

It needs mlserver, numpy and onnxruntime where the server runs, and nothing of midge.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.types import Datatype, InferenceRequest, InferenceResponse, ResponseOutput

TYPES = {"BOOL": bool, "INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32, "FP32": np.float32}
NAMES = {np.dtype(kind).name: name for name, kind in TYPES.items()}


class OnnxTail(MLModel):
    """Tensors go in and out by name, each in its own type."""

    async def load(self) -> bool:
        path = Path(__file__).parent / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(path))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        fed = {
            given.name: np.array(given.data, TYPES[Datatype(given.datatype).value]).reshape(
                given.shape
            )
            for given in payload.inputs
        }
        names = [output.name for output in self.session.get_outputs()]
        answers = self.session.run(names, fed)
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[
                ResponseOutput(
                    name=name,
                    datatype=NAMES[value.dtype.name],
                    shape=list(value.shape),
                    data=value.reshape(-1).tolist(),
                )
                for name, value in zip(names, answers)
            ],
        )
