"""Checks of code for GPUs on a machine without one: tensors that say they are on a GPU and hold no numbers.

torch's FakeTensorMode gives them, and refuses operations between devices. Two things are added: products and
norms must get inputs of one type, which the real kernels demand and the stand-ins for them often do not; and
the backward functions that this project wrote are called right away, in the types that autograd would call
them with, as its engine does not start for a GPU that is not there.
"""

from __future__ import annotations

import functools
import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from models.layers import attention, basic, exchange, integration, patches, recomputing, temporal

OWN_FUNCTIONS = tuple(
    value
    for module in (attention, basic, exchange, integration, patches, recomputing, temporal)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, torch.autograd.Function)
)
DEVICE = torch.device("cuda:0")
_ATEN = torch.ops.aten
_SAME_TYPE = {
    _ATEN.mm,
    _ATEN.addmm,
    _ATEN.bmm,
    _ATEN.baddbmm,
    _ATEN.convolution,
    _ATEN.convolution_backward,
    _ATEN.silu_backward,
    _ATEN.native_layer_norm,
    _ATEN.native_layer_norm_backward,
}


class PretendedGpu:
    """Inside `running`, new tensors on DEVICE are pretended; `take` brings a module there before.

    called: names of the own functions whose backward was called.
    """

    def __init__(self) -> None:
        self.called: set[str] = set()
        self._mode = FakeTensorMode()

    def take(self, module: nn.Module) -> None:
        """Put pretended tensors in the place of all parameters and buffers."""
        for part in module.modules():
            stores: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
            for store in stores:
                for name, tensor in store.items():
                    if tensor is not None:
                        store[name] = self._pretended(tensor)

    def _pretended(self, tensor: Tensor) -> Tensor:
        with self._mode:
            twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=DEVICE)
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(twin, requires_grad=tensor.requires_grad)
        return twin

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tensors inside are pretended, and checked."""
        with ExitStack() as stack:
            # autocast switches itself off, with a warning, where there is no GPU
            off = "torch.cuda.amp.common.amp_definitely_not_available"
            stack.enter_context(mock.patch(off, lambda: False))
            stack.enter_context(mock.patch("torch.cuda.is_bf16_supported", lambda *_, **__: True))
            for function in OWN_FUNCTIONS:
                stack.enter_context(mock.patch.object(function, "apply", self._both_ways(function)))
            stack.enter_context(self._mode)
            stack.enter_context(_SameTypes())
            yield

    def _both_ways(self, function: Any) -> Any:
        def apply(*inputs: Any) -> Any:
            context = _Context()
            with torch.no_grad():
                outputs = function.forward(context, *inputs)
                several = outputs if isinstance(outputs, tuple) else (outputs,)
                with torch.autocast("cuda", enabled=False):  # as in the engine's own threads
                    found = function.backward(context, *(torch.empty_like(output) for output in several))
            gradients = found if isinstance(found, tuple) else (found,)
            for given, gradient in zip(inputs, gradients, strict=True):
                if gradient is not None:
                    assert given.shape == gradient.shape, function.__name__
                    assert given.dtype == gradient.dtype, function.__name__
            self.called.add(function.__name__)
            return outputs

        return apply


def in_a_process_of_its_own(check: Callable[..., None]) -> Callable[..., None]:
    """A test in a forked process: once it has pretended, torch starts threads that break later forks."""

    @functools.wraps(check)
    def forked(**arguments: Any) -> None:
        fork = multiprocessing.get_context("fork")
        receiver, sender = fork.Pipe(duplex=False)

        def run() -> None:
            try:
                check(**arguments)
                sender.send("")
            except Exception:  # noqa: BLE001  # whatever it is, the test's own process raises it
                sender.send(traceback.format_exc())

        child = fork.Process(target=run)
        child.start()
        sender.close()
        assert receiver.poll(120), "the child says nothing"
        failure = receiver.recv()
        child.join()
        assert not failure, failure

    return forked


class _Context:
    """What autograd passes to a function's two halves."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        self.saved_tensors = tensors


class _SameTypes(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in _SAME_TYPE:
            kinds = {value.dtype for value in args if isinstance(value, Tensor)}
            assert len(kinds) == 1, f"{func} of {kinds}"
        return func(*args, **(kwargs or {}))
