"""Cases of operators on numbers of any rank and type: name, and what makes the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import build_cycles as cycles
import build_general as g
import build_loops as loops
import numpy as np

Line = tuple[str, Callable[[], bytes]]


def case(name: str, make: Callable[..., bytes], **arguments: object) -> Line:
    return name, partial(make, **arguments)


# Where TFLite's own kernels take bytes for unsigned or refuse, and TFLM's do what is meant.
OWN = (
    "div_int8 div_uint8 add_n_int8 cumsum_int8 squared_difference_int16 sum_int8 sum_int16 "
    "basic_classifier circular_buffer circular_buffer_ending "
    "detection_fast detection_regular detection_uint8 "
    "dynamic_update_slice_wide_tflm ceil_tflm round_tflm "
    "cumsum_tflm cumsum_int32_tflm elu_int8_tflm rsqrt_int8_tflm rsqrt_int16_tflm prelu_int16_tflm "
    "log_tflm sin_tflm cos_tflm elu_tflm tanh_tflm"
).split()

# What the host hands to NumPy, and microcontrollers refuse.
IN_NUMPY: tuple[str, ...] = ()

CASES: list[Line] = [
    case("tile", g.general, op="TILE", operands=[((2, 3), g.F), g.ints(2, 3)],
         outputs=((4, 9), g.F)),
    case("broadcast_to", g.general, op="BROADCAST_TO", version=2,
         operands=[((3, 1), g.F), g.ints(2, 3, 4)], outputs=((2, 3, 4), g.F)),
    case("pack", g.general, op="PACK", operands=[((2, 3), *g.Q)] * 3, outputs=((2, 3, 3), *g.Q),
         version=2, options="PackOptions", values_count=3, axis=1),
    case("unpack", g.unpack),
    case("depth_to_space", g.general, op="DEPTH_TO_SPACE", operands=[((2, 3, 2, 8), *g.Q)],
         outputs=((2, 6, 4, 2), *g.Q), options="DepthToSpaceOptions", block_size=2),
    case("space_to_depth", g.general, op="SPACE_TO_DEPTH", operands=[((2, 4, 6, 3), *g.Q)],
         version=2, outputs=((2, 2, 3, 12), *g.Q), options="SpaceToDepthOptions", block_size=2),
    case("space_to_batch_nd", g.general, op="SPACE_TO_BATCH_ND", version=2,
         operands=[((1, 5, 6, 3), *g.Q), g.ints(2, 3), g.ints([1, 0], [1, 2])],
         outputs=((6, 3, 3, 3), *g.Q)),
    case("batch_to_space_nd", g.general, op="BATCH_TO_SPACE_ND", version=2,
         operands=[((6, 3, 3, 2), *g.Q), g.ints(2, 3), g.ints([1, 0], [1, 2])],
         outputs=((1, 5, 6, 2), *g.Q)),
    *(case(f"mirror_pad_{name}", g.general, op="MIRROR_PAD",
           operands=[((3, 4, 5), *g.Q), g.ints([1, 2], [0, 3], [2, 0])],
           outputs=((6, 7, 7), *g.Q), options="MirrorPadOptions", mode=mode)
      for mode, name in enumerate(("reflect", "symmetric"))),
    case("reverse_v2", g.general, op="REVERSE_V2", operands=[((2, 3, 4), g.F), g.ints(1)],
         outputs=((2, 3, 4), g.F)),
    *(case(op.lower(), g.one, op=op) for op in (
        "ABS", "EXP", "FLOOR", "NEG", "RSQRT", "SQRT", "SQUARE",
    )),
    case("logical_not", g.one, op="LOGICAL_NOT", dtype="bool"),
    *(case(op.lower(), g.two, op=op) for op in (
        "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE",
    )),
    case("prelu", g.general, op="PRELU",
         operands=[((2, 4, 3, 5), g.F), np.linspace(-1, 1, 5, dtype=np.float32)[None, None]],
         outputs=((2, 4, 3, 5), g.F)),
    *(case(f"{op.lower()}_int32", g.two, op=op, dtype="int32") for op in (
        "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE",
    )),
    *(case(op.lower(), g.two, op=op, answer="bool") for op in (
        "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL",
    )),
    *(case(op.lower(), g.two, op=op, dtype="bool") for op in ("LOGICAL_AND", "LOGICAL_OR")),
    case("maximum_int8", g.general, op="MAXIMUM", version=2,
         operands=[((2, 3, 4), *g.Q), ((2, 3, 4), *g.Q)], outputs=((2, 3, 4), *g.Q)),
    case("select_v2", g.general, op="SELECT_V2",
         operands=[((2, 1, 4), g.B), ((2, 3, 4), g.F), ((3, 1), g.F)], outputs=((2, 3, 4), g.F)),
    case("cast_to_int32", g.general, op="CAST", operands=[((3, 5), g.F)], outputs=((3, 5), g.INT)),
    case("cast_to_float", g.general, op="CAST", operands=[((3, 5), g.INT)], outputs=((3, 5), g.F)),
    *(case(op.lower(), g.reduced, op=op) for op in (
        "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD",
    )),
    case("sum_keep", g.reduced, op="SUM", axes=(0, 2), keep=True),
    *(case(op.lower(), g.reduced, op=op, dtype="bool") for op in ("REDUCE_ALL", "REDUCE_ANY")),
    *(case(op.lower(), g.general, op=op, operands=[((3, 4, 7), g.F), g.ints(1)],
           outputs=((3, 7), g.INT), options=f"{op.title().replace('_', '')}Options", output_type=2)
      for op in ("ARG_MAX", "ARG_MIN")),
    case("arg_max_int8", g.general, op="ARG_MAX", operands=[((3, 9), *g.Q), g.ints(-1)],
         outputs=((3,), g.INT), options="ArgMaxOptions", output_type=2),
    case("batch_matmul", g.general, op="BATCH_MATMUL",
         operands=[((2, 1, 3, 7), g.F), ((4, 7, 5), g.F)], outputs=((2, 4, 3, 5), g.F),
         options="BatchMatMulOptions", adj_x=False, adj_y=False),
    case("batch_matmul_turned", g.general, op="BATCH_MATMUL",
         operands=[((2, 7, 3), g.F), ((2, 5, 7), g.F)], outputs=((2, 3, 5), g.F),
         options="BatchMatMulOptions", adj_x=True, adj_y=True),
    case("gather", g.general, op="GATHER",
         operands=[((3, 6, 2), *g.Q), g.ints([5, 0], [2, 2])], outputs=((3, 2, 2, 2), *g.Q),
         options="GatherOptions", axis=1),
    case("gather_nd", g.general, op="GATHER_ND",
         operands=[((3, 6, 2), g.F), g.ints([2, 5], [0, 1])], outputs=((2, 2), g.F)),
    case("gather_constant", g.gathered, op="GATHER", shape=(4, 3), indices=(5,), axis=0,
         data=np.arange(12, dtype=np.int32).reshape(4, 3)),
    case("gather_computed", g.gathered, op="GATHER", shape=(3, 6, 2), indices=(4,), axis=1),
    case("gather_nd_computed", g.gathered, op="GATHER_ND", shape=(3, 6, 2), indices=(4, 2)),
    *(case(f"{op.lower()}_int8", g.general, op=op, version=2,
           operands=[((2, 3, 5), "int8", 0.05, -5), ((3, 1), "int8", 0.03, 9)],
           outputs=((2, 3, 5), "bool")) for op in ("EQUAL", "LESS", "GREATER_EQUAL")),
    case("equal_int8_fine", g.general, op="EQUAL", version=2,
         operands=[((40, 9), "int8", 0.0005, 1), ((9,), "int8", 0.0004, 0)],
         outputs=((40, 9), "bool")),
    *(case(f"less_equal_{dtype}", g.two, op="LESS_EQUAL", dtype=dtype, answer="bool")
      for dtype in ("int32", "int64")),
    case("not_equal_bool", g.two, op="NOT_EQUAL", dtype="bool", answer="bool"),
    case("prelu_int8", g.general, op="PRELU", operands=[
        ((2, 4, 3, 5), "int8", 0.05, -5), g.Constant((1, 1, 5), "int8", 0.01, 3)],
        outputs=((2, 4, 3, 5), "int8", 0.04, 7)),
    case("squared_difference_int8", g.general, op="SQUARED_DIFFERENCE", version=2,
         operands=[((2, 3, 5), "int8", 0.05, -5), ((3, 1), "int8", 0.03, 9)],
         outputs=((2, 3, 5), "int8", 0.2, -100)),
    case("squared_difference_int16", g.general, op="SQUARED_DIFFERENCE", version=2,
         operands=[((2, 3, 65), "int16", 0.0005, 0), ((3, 1), "int16", 0.0003, 0)],
         outputs=((2, 3, 65), "int16", 0.02, 0)),
    *(case(f"{op.lower()}_{dtype}", g.two, op=op, dtype=dtype)
      for op in ("DIV", "FLOOR_DIV", "FLOOR_MOD") for dtype in ("int32",)),
    case("maximum_int16", g.general, op="MAXIMUM", version=3,
         operands=[((2, 3), "int16", 0.001, 0), ((3,), "int16", 0.001, 0)],
         outputs=((2, 3), "int16", 0.001, 0)),
    case("abs_int8", g.general, op="ABS", operands=[((3, 7), "int8", 0.05, -5)],
         outputs=((3, 7), "int8", 0.03, -128), version=3),
    case("abs_int16", g.general, op="ABS", operands=[((3, 7), "int16", 0.001, 0)],
         outputs=((3, 7), "int16", 0.0007, 0), version=3),
    case("exp_int8", g.general, op="EXP", operands=[((3, 70), "int8", 0.02, 5)],
         outputs=((3, 70), "int8", 0.05, -128), version=2),
    *(case(f"neg_{dtype}", g.one, op="NEG", dtype=dtype) for dtype in ("int32",)),
    *(case(f"sum_{dtype}", g.general, op="SUM", version=2, options="ReducerOptions",
           operands=[((2, 7, 3), dtype, 0.05, zero), g.ints(1)], keep_dims=False,
           outputs=((2, 3), dtype, 0.11, zero and 9))
      for dtype, zero in (("int8", -5), ("int16", 0), ("uint8", 120))),
    *(case(f"{op.lower()}_{dtype}", g.general, op=op, version=2, options="ReducerOptions",
           operands=[((2, 7, 3), dtype, 0.05, 0), g.ints(1)], keep_dims=True,
           outputs=((2, 1, 3), dtype, 0.05, 0))
      for op, dtype in (("REDUCE_MAX", "int8"), ("REDUCE_MIN", "int16"))),
    case("sum_int32", g.reduced, op="SUM", dtype="int32"),
    case("arg_min_int32", g.general, op="ARG_MIN", operands=[((3, 9), g.INT), g.ints(-1)],
         outputs=((3,), "int64"), options="ArgMinOptions", output_type=4),
    *(case(f"batch_matmul_{dtype}", g.general, op="BATCH_MATMUL", version=2,
           operands=[((2, 1, 3, 7), dtype, 0.05, zero), ((4, 7, 5), dtype, 0.02, zero)],
           outputs=((2, 4, 3, 5), dtype, scale, zero), options="BatchMatMulOptions",
           adj_x=False, adj_y=turned)
      for dtype, scale, zero, turned in (("int8", 0.3, 4, False), ("int16", 40.0, 0, False))),
    case("batch_matmul_int8_turned", g.general, op="BATCH_MATMUL", version=2,
         operands=[((2, 3, 7), "int8", 0.05, -5), ((2, 5, 7), "int8", 0.02, 3)],
         outputs=((2, 3, 5), "int8", 0.3, 4), options="BatchMatMulOptions",
         adj_x=False, adj_y=True),
    *(case(f"cast_{a}_{b}", g.general, op="CAST", operands=[((3, 5), a)], outputs=((3, 5), b))
      for a, b in (("int8", "float32"), ("bool", "int32"), ("int64", "int16"), ("int16", "bool"),
                   ("uint8", "int64"))),
    *(case(f"cast_quantized_{name}", g.general, op="CAST", operands=[((3, 5), *a)],
           outputs=((3, 5), *b))
      for name, a, b in (("uint8", ("uint8", 0.05, 120), (g.F,)),
                         ("to_uint8", (g.INT,), ("uint8", 0.05, 120)))),
    case("select_v2_int8", g.general, op="SELECT_V2",
         operands=[((2, 3, 4), g.B), ((2, 3, 4), *g.Q), ((4,), *g.Q)], outputs=((2, 3, 4), *g.Q)),
    case("mirror_pad_image", g.general, op="MIRROR_PAD", operands=[
        ((1, 4, 5, 3), *g.Q), g.ints([0, 0], [1, 2], [3, 0], [0, 0])],
        outputs=((1, 7, 8, 3), *g.Q), options="MirrorPadOptions", mode=0),
    # Dynamic range quantization: float numbers, int8 weights.
    *(case(f"hybrid_fully_connected_{name}", g.hybrid, op="FULLY_CONNECTED", shape=(3, 33),
           weights=(5, 33), asymmetric=asymmetric, activation=activation)
      for name, asymmetric, activation in (
          ("symmetric", False, "NONE"), ("asymmetric", True, "RELU"))),
    *(case(f"hybrid_conv2d_{name}", g.hybrid, op="CONV_2D", shape=(2, 6, 5, 3),
           weights=(4, 3, 2, 3), per_channel=per_channel, activation=activation)
      for name, per_channel, activation in (
          ("tensor", False, "RELU6"), ("channels", True, "NONE"))),
    case("hybrid_depthwise_conv2d", g.hybrid, op="DEPTHWISE_CONV_2D", shape=(2, 6, 5, 3),
         weights=(1, 3, 3, 6), per_channel=True),
    *(case(f"l2_normalization_{x[0]}", g.general, op="L2_NORMALIZATION", version=2,
           operands=[((3, 2, 17), *x)], outputs=((3, 2, 17), *y), options="L2NormOptions")
      for x, y in ((("int8", 0.05, -5), ("int8", 1 / 128, 0)), ((g.F,), (g.F,)),
                   (("uint8", 0.05, 120), ("uint8", 1 / 128, 128)))),
    case("float16_weights", g.half_weights),
    *(case(f"add_n_{dtype}", g.general, op="ADD_N", operands=[((2, 5), dtype)] * 4,
           outputs=((2, 5), dtype)) for dtype in (g.F, g.INT)),
    case("conv2d_int4", g.int4_weights, op="CONV_2D", shape=(1, 5, 6, 3), weights=(5, 3, 3, 3)),
    case("depthwise_conv2d_int4", g.int4_weights, op="DEPTHWISE_CONV_2D", shape=(1, 5, 6, 4),
         weights=(1, 3, 3, 4)),
    case("fully_connected_int4", g.int4_weights, op="FULLY_CONNECTED", shape=(3, 33),
         weights=(7, 33)),
    *(case(f"transpose_conv_int8_weights_{name}", g.weights_of_int8, per_channel=each)
      for name, each in (("tensor", False), ("channels", True))),
    case("if", g.choice),
    *(case(f"while_{passes}", loops.loop, passes=passes) for passes in (0, 3)),
    *(case(f"while_shrinking_{name}", loops.shrinking, dtype=dtype, shape=shape)
      for name, dtype, shape in ((g.F, g.F, (2, 5)), ("int8", "int8", (7,)),
                                 ("images", "int8", (2, 3, 4, 5)))),
    case("while_in_while", loops.counted),
    *(case(f"dynamic_update_slice_{name}", g.updated, shape=shape, part=part, dtype=dtype,
           first=first, index=index) for name, shape, part, dtype, first, index in (
        ("computed", (3, 5, 4), (2, 2, 4), g.F, None, g.INT),
        ("constant", (2, 3, 4, 5), (1, 2, 3, 5), "int8", (9, -3, 1, 0), g.INT),
        ("whole", (2, 3), (2, 3), g.INT, (1, 1), g.INT),
        ("wide_tflm", (3, 5, 4), (2, 2, 3), "int8", None, "int64"))),
    *(case(f"l2_pool2d_{padding.lower()}", g.pooled, padding=padding, activation=activation)
      for padding, activation in (("SAME", "NONE"), ("VALID", "RELU6"))),
    case("circular_buffer", g.circular_buffer),
    case("circular_buffer_ending", cycles.ending),
    case("basic_classifier", g.classifier),
    *(case(f"{op.lower()}_tflm", g.one, op=op, shape=(3, 70))
      for op in ("LOG", "SIN", "COS", "ELU", "TANH")),
    *(case(f"detection_{name}", g.detector, regular=regular, dtype=dtype)
      for name, regular, dtype in (
          ("fast", False, g.F), ("regular", True, g.F), ("uint8", True, "uint8"))),
    *(case(f"div_{dtype}", g.general, op="DIV", operands=[
        ((2, 3, 50), dtype, 0.05, zero), ((3, 1), dtype, 0.03, zero + 40)],
        outputs=((2, 3, 50), dtype, 0.01, zero)) for dtype, zero in (("int8", -30), ("uint8", 90))),
    case("add_n_int8", g.general, op="ADD_N", operands=[((3, 70), "int8", 0.05, -5)] * 5,
         outputs=((3, 70), "int8", 0.2, 9)),
    case("cumsum_int8", g.general, op="CUMSUM", operands=[((3, 9, 2), "int8", 0.05, 7), g.ints(1)],
         outputs=((3, 9, 2), "int8", 0.3, -4), options="CumsumOptions", exclusive=False,
         reverse=True),
    case("log_softmax", g.one, op="LOG_SOFTMAX", shape=(4, 3, 17)),
    *(case(f"log_softmax_{dtype}{name}", g.general, op="LOG_SOFTMAX", version=2,
           operands=[(shape, dtype, scale, 3)], outputs=(shape, dtype, 1 / 16, zero))
      for name, dtype, shape, scale, zero in (
          ("", "int8", (4, 3, 17), 0.04, 127), ("_wide", "int8", (2, 4095), 0.15, 127),
          ("", "uint8", (40, 3), 0.11, 255))),
    *(case(f"{op.lower()}_tflm", g.one, op=op) for op in ("CEIL", "ROUND")),
    *(case(f"cumsum{name}_tflm", g.general, op="CUMSUM",
           operands=[((3, 4, 2), dtype), g.ints(1)], outputs=((3, 4, 2), dtype),
           options="CumsumOptions", exclusive=exclusive, reverse=not exclusive)
      for name, dtype, exclusive in (("", g.F, True), ("_int32", g.INT, False))),
    case("elu_int8_tflm", g.general, op="ELU", operands=[((5, 60), "int8", 0.03, 5)],
         outputs=((5, 60), "int8", 0.03, 0)),
    case("rsqrt_int8_tflm", g.general, op="RSQRT", version=2,
         operands=[((5, 60), "int8", 0.05, -128)], outputs=((5, 60), "int8", 0.03, -128)),
    case("rsqrt_int16_tflm", g.general, op="RSQRT", version=2,
         operands=[((5, 60), "int16", 0.001, 0)], outputs=((5, 60), "int16", 0.0005, 0)),
    case("prelu_int16_tflm", g.general, op="PRELU",
         operands=[((5, 3, 20), "int16", 0.001, 0), g.Constant((1, 20), "int8", 0.03, -7)],
         outputs=((5, 3, 20), "int16", 0.002, 0)),
]  # fmt: skip
