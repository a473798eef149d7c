"""The network as an ONNX graph, node by node, with weights in half precision.

Inputs `input_ids` int64 [batch, seq], `seqlens_k` int32 [batch] (valid tokens after this
step, minus one), `total_sequence_length` int32 scalar (the largest of them plus one), and per
layer `past_key_values.i.key|value` float32 [batch, kv_heads, room, head_dim]. Outputs `logits`
float32 [batch, vocab] of the last position and `present.i.key|value`, which may share the
memory of the past. Keys are stored rotated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
_MS = "com.microsoft"


@dataclass
class GraphBuilder:
    """Collects nodes and initializers; every method returns the name of its output."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def op(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str | Sequence[str],
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Append one node; returns its first output."""
        outputs = [output] if isinstance(output, str) else list(output)
        name = f"{kind}_{len(self.nodes)}"
        node = helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return outputs[0]

    def weight(self, name: str, value: Array) -> str:
        """A weight kept as float16 and widened once when the session is built."""
        self.initializers.append(numpy_helper.from_array(value.astype(np.float16), f"{name}.f16"))
        return self.op("Cast", [f"{name}.f16"], name, to=TensorProto.FLOAT)

    def constant(self, name: str, value: Array) -> str:
        """An initializer kept as it is."""
        self.initializers.append(numpy_helper.from_array(value, name))
        return name


def build(
    weights: dict[str, Array], shape: dict[str, Any], cos: Array, sin: Array
) -> onnx.ModelProto:
    """The model graph of trained weights (names as in `model.Model`)."""
    layers, hidden = int(shape["layers"]), int(shape["hidden"])
    head_dim = int(shape["width"]) // int(shape["heads"])
    eps = float(shape["eps"])
    g = GraphBuilder()
    embed = g.weight("embed", weights["embed.weight"])
    g.constant("cos", cos.astype(np.float32))
    g.constant("sin", sin.astype(np.float32))
    g.constant("last", np.asarray(-1, dtype=np.int64))
    g.constant("halves", np.asarray([hidden, hidden], dtype=np.int64))
    residual = g.op("Gather", [embed, "input_ids"], "x.0", axis=0)
    branch: str | None = None

    for i in range(layers):
        p = f"blocks.{i}."
        w = {
            k: g.weight(p + k, weights[f"{p}{k}.weight"].T)
            for k in ("qkv", "out", "gate_up", "down")
        }
        norm1 = g.constant(p + "norm1", weights[p + "norm1"].astype(np.float32))
        norm2 = g.constant(p + "norm2", weights[p + "norm2"].astype(np.float32))
        normed, residual = _norm(g, residual, branch, norm1, p + "n1", eps)
        qkv = g.op("MatMul", [normed, w["qkv"]], p + "qkv.y")
        past = [f"past_key_values.{i}.key", f"past_key_values.{i}.value"]
        present = [f"present.{i}.key", f"present.{i}.value"]
        attended = g.op(
            "GroupQueryAttention",
            [qkv, "", "", *past, "seqlens_k", "total_sequence_length", "cos", "sin"],
            [p + "att", *present],
            domain=_MS,
            num_heads=int(shape["heads"]),
            kv_num_heads=int(shape["kv_heads"]),
            do_rotary=1,
            rotary_interleaved=0,
        )
        branch = g.op("MatMul", [attended, w["out"]], p + "out.y")
        normed, residual = _norm(g, residual, branch, norm2, p + "n2", eps)
        both = g.op("MatMul", [normed, w["gate_up"]], p + "gate_up.y")
        g.op("Split", [both, "halves"], [p + "gate", p + "up"], axis=-1)
        gate = g.op("QuickGelu", [p + "gate"], p + "silu", domain=_MS, alpha=1.0)
        active = g.op("Mul", [gate, p + "up"], p + "active")
        branch = g.op("MatMul", [active, w["down"]], p + "down.y")

    final = g.op("Add", [residual, str(branch)], "x.final")
    tail = g.op("Gather", [final, "last"], "x.last", axis=1)
    norm = g.constant("norm", weights["norm"].astype(np.float32))
    normed = g.op("SimplifiedLayerNormalization", [tail, norm], "x.norm", axis=-1, epsilon=eps)
    g.op("Gemm", [normed, embed], "logits", transB=1)
    return _model(g, shape, head_dim)


def _norm(
    g: GraphBuilder, residual: str, branch: str | None, scale: str, out: str, eps: float
) -> tuple[str, str]:
    """RMSNorm of the residual stream, adding the last branch first; (normed, new residual)."""
    if branch is None:
        g.op("SimplifiedLayerNormalization", [residual, scale], out, axis=-1, epsilon=eps)
        return out, residual
    total = out + ".sum"
    g.op(
        "SkipSimplifiedLayerNormalization",
        [residual, branch, scale],
        [out, "", "", total],
        domain=_MS,
        epsilon=eps,
    )
    return out, total


def _model(g: GraphBuilder, shape: dict[str, Any], head_dim: int) -> onnx.ModelProto:
    cache: list[str | int | None] = ["batch", int(shape["kv_heads"]), "room", head_dim]
    info = helper.make_tensor_value_info
    inputs = [
        info("input_ids", TensorProto.INT64, ["batch", "seq"]),
        info("seqlens_k", TensorProto.INT32, ["batch"]),
        info("total_sequence_length", TensorProto.INT32, []),
    ]
    outputs = [info("logits", TensorProto.FLOAT, ["batch", int(shape["vocab"])])]
    for i in range(int(shape["layers"])):
        for kind in ("key", "value"):
            inputs.append(info(f"past_key_values.{i}.{kind}", TensorProto.FLOAT, cache))
            outputs.append(info(f"present.{i}.{kind}", TensorProto.FLOAT, cache))
    graph = helper.make_graph(g.nodes, "actinium-embedded", inputs, outputs, g.initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_MS, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="actinium")
