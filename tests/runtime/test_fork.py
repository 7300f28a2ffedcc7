"""Sessions in processes that were forked after they were compiled, as data loaders and servers do."""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import Queue

import numpy as np
import pytest

from bitwright import _engine
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Operator
from bitwright.program.options import FullyConnectedOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.runtime.session import Session


def _program() -> Program:
    rng = np.random.default_rng(0)
    tensors = (
        Tensor("x", (64, 64), "i8", QuantParams(0.1, 3)),
        Tensor("w", (256, 64), "i8", QuantParams(0.02, 0), rng.integers(-127, 128, (256, 64)).astype(np.int8)),
        Tensor("y", (64, 256), "i8", QuantParams(0.5, -4)),
    )
    operators = (Operator("FULLY_CONNECTED", ("x", "w", None), ("y",), FullyConnectedOptions()),)
    return Program({t.name: t for t in tensors}, operators, (Port("x", "x"),), (Port("y", "y"),))


def _in_child(session: Session, x: np.ndarray, answers: Queue[np.ndarray]) -> None:
    answers.put(session(x))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_session_with_threads_runs_in_a_forked_process():
    """The pool's threads are not there: the child runs without them, and gives the same integers."""
    session = Session(_program(), isa=_engine.usable_isa(), threads=2)
    x = np.arange(64 * 64, dtype=np.int64).reshape(64, 64).astype(np.int8)
    expected = session(x)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_child, args=(session, x, answers))
    child.start()
    found = answers.get(timeout=60)
    child.join(timeout=60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(expected, found)
