"""Small random int8 networks: branches, strides, odd sizes, residuals, pooling, a dense end."""

from __future__ import annotations

from dataclasses import dataclass

from build_compute import windows
from hypothesis import strategies as st
from seeded_model import WEIGHT_SCALE, SeededModel

ZERO = -5
STEPS = ("conv", "conv", "depthwise", "pool", "add", "concatenation", "relu", "excite")


@dataclass(frozen=True)
class Value:
    """A tensor of the model under construction: NHWC, batch 1."""

    tensor: int
    shape: tuple[int, ...]
    scale: float


class RandomNetwork:
    """Draws one operator after the other; `values` are all tensors so far."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.model = draw, SeededModel("int8", draw(st.integers(0, 3)))
        size = draw(st.integers(1, 13)), draw(st.integers(1, 9))
        self.values = [self._value((1, *size, draw(st.sampled_from([1, 3, 4, 8]))), 0.05)]

    def build(self) -> bytes:
        for _ in range(self.draw(st.integers(1, 7))):
            self._step(self.draw(st.sampled_from(STEPS)))
        if self.draw(st.booleans()):
            self._end()
        outputs = [self.values[-1].tensor]
        if self.draw(st.booleans()):
            outputs.append(self.draw(st.sampled_from(self.values)).tensor)
        x = self.values[0].tensor
        return self.model.build([x], [t for t in dict.fromkeys(outputs) if t != x])

    def _value(self, shape: tuple[int, ...], scale: float, zero: int = ZERO) -> Value:
        return Value(self.model.tensor(shape, "int8", scale, zero), shape, scale)

    def _step(self, kind: str) -> None:
        x = self.draw(st.sampled_from(self.values[-3:]))
        if kind in ("conv", "depthwise"):
            self.values.append(self._window(x, kind == "depthwise"))
        elif kind == "pool":
            self.values.append(self._pool(x))
        elif kind == "relu":
            self.values.append(self._node("RELU", [x], x.shape, x.scale))
        elif kind == "excite":
            self._excite(x)
        else:
            self._join(kind, x)

    def _node(
        self, op: str, inputs: list[Value], shape: tuple[int, ...], scale: float, **options: object
    ) -> Value:
        y = self._value(shape, scale)
        self.model.node(op, [x.tensor for x in inputs], [y.tensor], **options)
        return y

    def _geometry(self, x: Value) -> tuple[tuple[int, int], dict[str, object], tuple[int, int]]:
        padding = self.draw(st.sampled_from(["SAME", "SAME", "VALID"]))
        limit = x.shape[1:3] if padding == "VALID" else (5, 5)
        extent = tuple(
            self.draw(st.sampled_from([k for k in (1, 2, 3, 5) if k <= n])) for n in limit
        )
        stride = self.draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1)]))
        size = tuple(
            windows(n, k, s, padding) for n, k, s in zip(x.shape[1:3], extent, stride, strict=True)
        )
        return extent, {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}, size

    def _window(self, x: Value, depthwise: bool) -> Value:
        (height, width), options, size = self._geometry(x)
        depth = x.shape[3]
        filters = depth if depthwise else self.draw(st.sampled_from([1, 3, 4, 8]))
        shape = (1, height, width, filters) if depthwise else (filters, height, width, depth)
        weights, scales = self.model.weights(shape, 3 if depthwise else 0, True)
        taps = height * width * (1 if depthwise else depth)
        bias = self.model.rng.integers(-2000, 2000, filters)
        sums = self.model.constant(bias, "int32", scale=scales * x.scale)
        y = self._value((1, *size, filters), self.model.sum_scale(taps))
        if depthwise:
            options["depth_multiplier"] = 1
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self.model.node(name, [x.tensor, weights, sums], [y.tensor], **options)
        return y

    def _pool(self, x: Value) -> Value:
        (height, width), options, size = self._geometry(x)
        name = self.draw(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
        if self.draw(st.booleans()) and min(x.shape[1:3]) > 1:  # a global one
            (height, width), size = x.shape[1:3], (1, 1)
            options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
        options |= {"filter_height": height, "filter_width": width}
        return self._node(name, [x], (1, *size, x.shape[3]), x.scale, **options)

    def _join(self, kind: str, x: Value) -> None:
        same = 4 if kind == "add" else 3
        partners = [v for v in self.values if v.shape[:same] == x.shape[:same]]
        other = self.draw(st.sampled_from(partners))
        if kind == "add":
            self.values.append(self._node("ADD", [x, other], x.shape, 1.5 * x.scale))
        elif other.scale == x.scale:
            shape = (*x.shape[:3], x.shape[3] + other.shape[3])
            self.values.append(self._node("CONCATENATION", [x, other], shape, x.scale, axis=3))

    def _excite(self, x: Value) -> None:
        """x times its own mean over the image."""
        axes = self.model.constant([1, 2], "int32")
        mean = self._value((1, 1, 1, x.shape[3]), x.scale)
        self.model.node("MEAN", [x.tensor, axes], [mean.tensor], keep_dims=True)
        self.values.append(mean)
        self.values.append(self._node("MUL", [x, mean], x.shape, 60 * x.scale**2))

    def _end(self) -> None:
        """A dense layer over the last value, and its softmax."""
        x = self.values[-1]
        depth = x.shape[1] * x.shape[2] * x.shape[3]
        weights = self.model.constant(
            self.model.rng.integers(-127, 128, (3, depth)), "int8", scale=WEIGHT_SCALE
        )
        bias = self.model.constant([900, 0, -900], "int32", scale=WEIGHT_SCALE * x.scale)
        y = self._value((1, 3), self.model.sum_scale(depth))
        self.model.node("FULLY_CONNECTED", [x.tensor, weights, bias], [y.tensor])
        z = self._value((1, 3), 1 / 256, -128)
        self.model.node("SOFTMAX", [y.tensor], [z.tensor], beta=1.0)
        self.values += [y, z]


@st.composite
def networks(draw: st.DrawFn) -> bytes:
    """The content of a .tflite file."""
    return RandomNetwork(draw).build()
