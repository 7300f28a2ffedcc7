"""Graphs: Graph + Plan -> a session: whole on the engine where that can be, else in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import UnsupportedOpError
from bitwright.exporters.onnx.write import to_onnx
from bitwright.graph.execution import Execution
from bitwright.lowering.concrete import Concrete, make_concrete
from bitwright.lowering.layout import LAYOUT, PortLayouts, layouts_against, read_layouts
from bitwright.lowering.lower import Lowered, lower_from
from bitwright.lowering.partition import Part, partition
from bitwright.lowering.refusal import NodesRefused
from bitwright.lowering.settle import settled
from bitwright.numerics.requantize import Rounding
from bitwright.program.program import Program
from bitwright.quantization.plan import Plan
from bitwright.runtime.face import Argument
from bitwright.runtime.hybrid import HybridSession, Stage
from bitwright.runtime.session import Session
from bitwright.runtime.shapes import ShapedSession
from bitwright.transforms.lift_constants import lift_constants
from bitwright.transforms.pipeline import prepare

Shapes = Mapping[str, Sequence[int]]

#: Operators between floats and integers: that they read or give floats says nothing of where they belong.
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "CAST")


def graph_session(
    model: ir.Model,
    plan: Plan | None,
    *,
    input_type: str | None = None,
    output_type: str | None = None,
    rounding: Rounding,
    isa: str,
    threads: int,
    input_shapes: Shapes | None = None,
) -> Session | HybridSession | ShapedSession:
    """A session of a graph, for any input shapes that it takes. Arguments as `Compiler` has them, and:

    Args:
        input_shapes: what is compiled first, see `Compiler.session`.
    """
    compiler = Compiler(
        model, plan, input_type=input_type, output_type=output_type, rounding=rounding, isa=isa, threads=threads
    )
    first = compiler.session(input_shapes)
    graph = compiler.model.graph
    if all(value.shape is None or value.shape.is_static() for value in graph.inputs):
        return first
    return ShapedSession(compiler.session, first, *(_declared(values) for values in (graph.inputs, graph.outputs)))


def _declared(values: Sequence[ir.Value]) -> list[tuple[int | None, ...]]:
    return [tuple(d if isinstance(d, int) else None for d in value.shape or ()) for value in values]


class Compiler:
    """Makes sessions of one graph.

    Args:
        model: as read; left as it is.
        plan: how its nodes compute; None for a float model.
        input_type, output_type: what the ports hold, see `lower`; integers only where the whole lowers.
        rounding: how sums become integers.
        isa: the best instruction set that kernels may use.
        threads: that divide each step.
    """

    def __init__(
        self,
        model: ir.Model,
        plan: Plan | None,
        *,
        input_type: str | None = None,
        output_type: str | None = None,
        rounding: Rounding,
        isa: str,
        threads: int,
    ) -> None:
        work, self.plan = settled(model, plan)
        if self.plan is None:
            work = prepare(model)
        elif work is model:
            work = model.clone()
        lift_constants(work)
        self.model = work
        self._ports = {"input_type": input_type, "output_type": output_type}
        self._layouts = read_layouts(model.metadata_props.get(LAYOUT))
        self._rounding: Rounding = rounding
        self._isa, self._threads = isa, threads

    def session(self, input_shapes: Shapes | None = None) -> Session | HybridSession:
        """A session for these shapes.

        Args:
            input_shapes: of inputs with free dimensions, by name; a free dimension is 1 otherwise.

        Raises:
            UsageError: a shape that does not fit, integers at a port of a model that does not lower whole.
            ModelError: ONNX Runtime refuses a part.
        """
        outside: dict[str, str] = {}
        try:
            lowered = lower_from(
                self.model, self.plan, **self._ports, input_shapes=input_shapes, rounding=self._rounding
            )
        except NodesRefused as error:
            outside = dict(error.reasons)
        except UnsupportedOpError as error:
            outside = {str(node.name): error.what for node in self.model.graph}
        else:
            session = self._engine(lowered.program, layouts_against(self._layouts, lowered.program))
            outside = _floats(session, lowered)
            if not outside:
                return session
        return self._in_parts(make_concrete(self.model, input_shapes), outside)

    def _engine(self, program: Program, layouts: PortLayouts) -> Session:
        return Session(program, layouts=layouts, isa=self._isa, threads=self._threads)

    def _in_parts(self, concrete: Concrete, outside: dict[str, str]) -> HybridSession:
        plan = self.plan or Plan("float", "onnxruntime")
        made: dict[tuple[str, ...], Stage] = {}  # a part that is the same the next time
        while True:
            cut = partition(concrete, plan, outside)
            more: dict[str, str] = {}
            for part in cut.parts:
                if part.lowers and part.nodes not in made:
                    stage = self._engine_stage(part, plan)
                    if isinstance(stage, Stage):
                        made[part.nodes] = stage
                    else:
                        more |= stage
            if not more:
                break
            outside = {**outside, **more}
        stages = [made[part.nodes] if part.lowers else self._onnx_stage(part, plan) for part in cut.parts]
        names = {str(node.name): f"{node.op_type} {node.name}" for node in self.model.graph}
        return HybridSession(
            stages,
            [_argument(concrete, value) for value in self.model.graph.inputs],
            [_argument(concrete, value) for value in self.model.graph.outputs],
            _constants(concrete),
            {names[name]: reason for name, reason in cut.outside.items()},
        )

    def _engine_stage(self, part: Part, plan: Plan) -> Stage | dict[str, str]:
        """The part ready to run; or the nodes of it that are better outside, and why."""
        try:
            lowered = lower_from(part.model, plan, rounding=self._rounding)
        except NodesRefused as error:
            return error.reasons
        except UnsupportedOpError as error:
            return dict.fromkeys(part.nodes, error.what)
        session = self._engine(lowered.program, layouts_against(PortLayouts(), lowered.program))
        return _floats(session, lowered) or Stage(session, *_faces(part))

    def _onnx_stage(self, part: Part, plan: Plan) -> Stage:
        return Stage(Execution(to_onnx(part.model, plan), threads=self._threads), *_faces(part))


def _floats(session: Session, lowered: Lowered) -> dict[str, str]:
    """The nodes that compute on floats without a kernel of the engine: ONNX Runtime has fast ones."""
    program, found = lowered.program, {}
    for index in session.operators_left:
        operator = program.operators[index]
        tensors = [t for t in (*program.operands(operator), *program.results(operator)) if t is not None]
        source = next((lowered.sources[name] for name in operator.outputs if name in lowered.sources), None)
        if source is not None and operator.kind not in _CONVERSIONS and any(t.dtype == "f32" for t in tensors):
            found[source] = "it computes on floats"
    return found


def _faces(part: Part) -> tuple[tuple[str, ...], tuple[str, ...]]:
    graph = part.model.graph
    return tuple(str(value.name) for value in graph.inputs), tuple(str(value.name) for value in graph.outputs)


def _argument(concrete: Concrete, value: ir.Value) -> Argument:
    kind = concrete.dtypes.get(value, value.dtype or ir.DataType.FLOAT)
    shape: tuple[int | None, ...] | None = concrete.shapes.get(value)
    if shape is None and value.shape is not None:
        shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape)
    return Argument(str(value.name), shape or (), np.dtype(kind.numpy()))


def _constants(concrete: Concrete) -> dict[str, NDArray[Any]]:
    found = ((str(value.name), concrete.array(value)) for value in concrete.model.graph.outputs)
    return {name: array for name, array in found if array is not None}
