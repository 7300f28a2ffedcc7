"""Every node test of ONNX's own backend suite that ONNX Runtime loads is read and quantized, without a crash or a hang.

As a script it prints a table of counts and the list of refusals:

    python tests/conformance/test_onnx_backend.py [read dynamic int8 ...]
"""

from __future__ import annotations

import collections
import functools
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import bitwright
from bitwright.errors import BitwrightError
from bitwright.importers.load import load_graph

#: A hang is anything longer; the slowest case takes a tenth of it.
CASE_SECONDS = 20

MODES = ("dynamic", "int8")


@dataclass(frozen=True)
class Case:
    """One model of the suite with the inputs of its first data set, and what ONNX Runtime says to it."""

    name: str
    model: onnx.ModelProto
    feeds: dict[str, Any]


@dataclass
class Outcome:
    """What became of the cases: names by kind, with the reason for each that is not fine."""

    title: str
    fine: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.title:<10}{len(self.fine):>7} fine{len(self.refused):>6} refused{len(self.failed):>6} failed"
            f"{self.seconds:>8.1f} s"
        )


@functools.cache
def backend_cases() -> tuple[list[Case], int]:
    """The cases that ONNX Runtime loads, and the number of all there are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_node_model_tests

        found = load_node_model_tests()
    cases = []
    for test in found:
        inputs = [value.name for value in test.model.graph.input]
        feeds = dict(zip(inputs, (_plain(x) for x in test.data_sets[0][0]), strict=False))
        case = Case(test.name, test.model, feeds)
        try:
            _session(case.model)
        except Exception:  # ONNX Runtime is the judge of what a runnable model is
            continue
        cases.append(case)
    return cases, len(found)


def _plain(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def expire(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    handler = signal.signal(signal.SIGALRM, expire)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)  # pytest's own time limit, put back afterwards
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, outer)
        signal.signal(signal.SIGALRM, handler)


def run(title: str, check: Callable[[Case], None]) -> Outcome:
    """Do `check` for every case; a BitwrightError is a refusal, anything else that is raised a failure."""
    outcome = Outcome(title)
    start = time.perf_counter()
    for case in backend_cases()[0]:
        try:
            with _time_limit(CASE_SECONDS), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(case)
        except BitwrightError as error:
            outcome.refused[case.name] = str(error)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            outcome.failed[case.name] = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"[:400]
        else:
            outcome.fine.append(case.name)
    outcome.seconds = time.perf_counter() - start
    return outcome


def check_reading(case: Case) -> None:
    """The model is read, loads in ONNX Runtime afterwards, and gives the same outputs."""
    import onnx_ir

    before = case.model.SerializeToString()
    graph, path = load_graph(case.model)
    assert path is None
    assert before == case.model.SerializeToString(), "the given model was changed"
    after = _session(onnx_ir.to_proto(graph))
    try:
        original = _session(case.model)
        expected = original.run(None, case.feeds)
        again = original.run(None, case.feeds)
    except Exception:  # data that the suite itself means to be refused, or of types this API cannot take
        return
    if not _same(expected, again):
        return  # random numbers
    assert [v.name for v in original.get_outputs()] == [v.name for v in after.get_outputs()]
    assert _same(expected, after.run(None, case.feeds)), "outputs differ after reading"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if not isinstance(one, np.ndarray):
        return bool(one == other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind not in "fc":
        return bool((one == other).all())
    return bool(np.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True))


def quantizing(mode: str) -> Callable[[Case], None]:
    """A check: the model is quantized in a mode and the result loads in ONNX Runtime."""
    quantize: Any = bitwright.quantize  # type: ignore[attr-defined]

    def check(case: Case) -> None:
        options = {} if mode in ("dynamic", "float16", "weight-only") else {"calibration": [case.feeds]}
        small = quantize(case.model, mode, **options)
        _session(small.to_proto())

    return check


def test_every_backend_model_is_read_with_the_same_meaning() -> None:
    """A model of the suite is read and gives its outputs; the old Scan is refused."""
    outcome = run("read", check_reading)

    assert not outcome.failed, _listed(outcome.failed)
    assert set(outcome.refused) <= {"test_scan_sum"}, _listed(outcome.refused)
    assert len(outcome.fine) > 1000


@pytest.mark.parametrize("mode", MODES)
def test_every_backend_model_is_quantized_or_refused(mode: str) -> None:
    """A model of the suite comes out loadable, or is refused by an error that says what, where and next."""
    outcome = run(mode, quantizing(mode))

    print(outcome)
    assert not outcome.failed, _listed(outcome.failed)
    assert len(outcome.fine) > 1000


def _listed(reasons: dict[str, str]) -> str:
    return f"{len(reasons)} cases\n" + "\n".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))


def main(modes: list[str]) -> int:
    """Print the table; exit code 1 when a case failed."""
    cases, total = backend_cases()
    print(f"{total} node tests in onnx {onnx.__version__}, {len(cases)} load in ONNX Runtime {onnxruntime.__version__}")
    outcomes = [run(mode, check_reading if mode == "read" else quantizing(mode)) for mode in modes]
    print(*outcomes, sep="\n")
    for outcome in outcomes:
        reasons = collections.Counter(reason.splitlines()[0] for reason in outcome.refused.values())
        for reason, count in reasons.most_common():
            print(f"  {outcome.title} refused {count}: {reason}")
        for name in sorted(outcome.refused):
            print(f"    {name}")
        for name, reason in sorted(outcome.failed.items()):
            print(f"  {outcome.title} FAILED {name}: {reason}")
    return int(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["read", *MODES]))
