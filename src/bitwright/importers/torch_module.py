"""PyTorch modules and exported programs as graphs, through PyTorch's own ONNX exporter."""

from __future__ import annotations

import inspect
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx_ir as ir

from bitwright.errors import BitwrightError, MissingDependencyError, ModelError, UsageError, reason_of
from bitwright.importers.onnx_file import load_onnx
from bitwright.importers.opset import to_current_opset
from bitwright.importers.quiet import quiet

#: Files that torch.save wrote: reading one runs whatever code it names.
PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".torchscript", ".ptl"})
#: Members of a .pt2 archive that torch.export.load would unpickle.
_PICKLED_OBJECTS = ("custom_obj_", "opaque_obj_")
_FORCE_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
#: What the exporter is asked for; its own operators are written for set 18 and brought on from there.
EXPORT_OPSET = 21


def is_torch(source: object) -> bool:
    """Whether an object is an nn.Module or an exported program; does not import torch."""
    names = {(cls.__module__, cls.__name__) for cls in type(source).__mro__}
    modules = {("torch.nn.modules.module", "Module"), ("torch.export.exported_program", "ExportedProgram")}
    return bool(names & modules)


def load_torch(module_or_path: Any, example_inputs: Any = None, *, dynamic_batch: bool = True) -> ir.Model:
    """A graph of a module in eval mode, its inputs named as forward's arguments, its constants as its parameters.

    Args:
        module_or_path: `torch.nn.Module`, `torch.export.ExportedProgram`, or the path of a .pt2 program.
        example_inputs: what forward takes: one tensor, a tuple, or a dict by argument name. Modules only.
        dynamic_batch: leave dimension 0 free, where the module's code allows it (else a warning says so).

    Raises:
        ModelError: the exporter refuses the module, or the file is not an exported program.
        UsageError: a module without example inputs, or inputs of another form.
        MissingDependencyError: PyTorch is not installed.
    """
    torch = _import_torch()
    if isinstance(module_or_path, str | os.PathLike):
        program = _load_program(torch, Path(module_or_path))
        return _export(torch, program, where=os.fspath(module_or_path))
    if isinstance(module_or_path, torch.export.ExportedProgram):
        return _export(torch, module_or_path, where=None)
    if not isinstance(module_or_path, torch.nn.Module):
        raise UsageError(
            f"not a PyTorch module: {type(module_or_path).__name__}", next="give a torch.nn.Module or a .pt2 path"
        )
    where = type(module_or_path).__name__
    args, kwargs = _arguments(torch, example_inputs, where)
    with _eval_mode(module_or_path):
        if dynamic_batch:
            try:
                return _export_with_free_batch(torch, module_or_path, args, kwargs, where)
            except ModelError as error:
                refusal = error
        model = _export(torch, module_or_path, where=where, args=args, kwargs=kwargs)
    if dynamic_batch:
        warnings.warn(
            f"{where} was exported for the batch size of its example inputs only: {refusal.what}", stacklevel=2
        )
    return model


def _import_torch() -> Any:
    try:
        import torch
        import torch.export
        import torch.onnx
    except ImportError as error:
        raise MissingDependencyError(
            "PyTorch models need PyTorch, which is not installed", next="pip install bitwright[torch]"
        ) from error
    return torch


def _load_program(torch: Any, path: Path) -> Any:
    where = os.fspath(path)
    if not path.is_file():
        raise ModelError("the program file does not exist", where=where, next="check the path")
    if path.suffix.lower() != ".pt2":
        raise ModelError(
            "a pickle of PyTorch (weights, a module, or TorchScript) is not read: unpickling runs the file's code",
            where=where,
            next="build the module in Python, load its weights, and give it to bitwright.quantize with example_inputs;"
            " or save it by torch.export.save(torch.export.export(module, example), 'model.pt2')",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            parts = [part for name in archive.namelist() for part in name.split("/")]
        if any(part.startswith(_PICKLED_OBJECTS) for part in parts):
            raise ModelError(
                "the program holds pickled Python objects, and unpickling runs the file's code",
                where=where,
                next="export the module without custom objects",
            )
        with _weights_only(), quiet("torch.onnx"):
            return torch.export.load(path)
    except BitwrightError:
        raise
    except Exception as error:
        raise ModelError(
            f"the file is not a program of torch.export, or a damaged one: {reason_of(error)}",
            where=where,
            next="save it again: torch.export.save(torch.export.export(module, example), 'model.pt2')",
        ) from error


@contextmanager
def _weights_only() -> Iterator[None]:
    """While it lasts torch.load builds tensors alone: torch.export.load would fall back to full unpickling."""
    before = os.environ.get(_FORCE_WEIGHTS_ONLY)
    os.environ[_FORCE_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FORCE_WEIGHTS_ONLY]
        else:
            os.environ[_FORCE_WEIGHTS_ONLY] = before


def _arguments(torch: Any, example: Any, where: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, torch.Tensor):
        return (example,), {}
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, tuple | list) and example:
        return tuple(example), {}
    raise UsageError(
        "a module needs example inputs to be traced with",
        where=where,
        next="give example_inputs: a tensor, a tuple of forward's arguments, or a dict by argument name",
    )


@contextmanager
def _eval_mode(module: Any) -> Iterator[None]:
    """Eval mode while it lasts; each submodule's own flag afterwards."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in flags:
            part.training = training


def _export_with_free_batch(
    torch: Any, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], where: str
) -> ir.Model:
    """Export with dimension 0 free in every tensor that has as many entries there as the first one."""
    tree = torch.utils._pytree
    tensors = [leaf for leaf in tree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.dim()]
    size = len(tensors[0]) if tensors else 0
    if not size:
        raise ModelError("no example input has a batch dimension")

    def widened(leaf: Any) -> Any:
        """Tracing takes a batch of one for a fact about the module, so it sees two."""
        batched = size == 1 and isinstance(leaf, torch.Tensor) and leaf.dim() and len(leaf) == 1
        return torch.cat([leaf, leaf]) if batched else leaf

    batch = torch.export.Dim("batch")

    def free(leaf: Any) -> Any:
        return {0: batch} if isinstance(leaf, torch.Tensor) and leaf.dim() and len(leaf) == size else None

    shapes = tree.tree_map(free, kwargs if kwargs else args)
    if args and _takes_any(module):
        shapes = (shapes,)
    args, kwargs = tree.tree_map(widened, (args, kwargs))
    model = _export(torch, module, where=where, args=args, kwargs=kwargs, dynamic_shapes=shapes)
    if all(isinstance(value.shape[0], int) for value in model.graph.inputs if value.shape):
        raise ModelError("its code fixes the size of dimension 0", where=where)
    return model


def _takes_any(module: Any) -> bool:
    """Whether forward is `forward(self, *args, ...)`, as Keras's is: then what it takes is one argument, a tuple."""
    parameters = inspect.signature(module.forward).parameters.values()
    return next(iter(parameters)).kind is inspect.Parameter.VAR_POSITIONAL


def _export(torch: Any, module: Any, *, where: str | None, **options: Any) -> ir.Model:
    try:
        with quiet("torch.onnx"), torch.no_grad():
            program = torch.onnx.export(module, opset_version=EXPORT_OPSET, dynamo=True, verbose=False, **options)
        model = load_onnx(program.model)
        _detach(model)
        return to_current_opset(model)
    except BitwrightError:
        raise
    except ImportError as error:
        raise MissingDependencyError(str(error), where=where, next="pip install bitwright[torch]") from error
    except Exception as error:
        raise ModelError(
            f"PyTorch could not export the module: {reason_of(error)}",
            where=where,
            next="try `torch.onnx.export(module, example, dynamo=True)` by itself; data-dependent Python code is the"
            " usual cause",
        ) from error


def _detach(model: ir.Model) -> None:
    """Copy constants out of PyTorch, so that training on does not change them."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = ir.tensor(value.const_value.numpy().copy(), name=value.name)
