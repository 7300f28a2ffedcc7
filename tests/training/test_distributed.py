"""Networks train under DistributedDataParallel: every process ends with the same weights and ranges."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch was built without distributed")


def work(rank: int, folder: str, options: dict[str, object]) -> None:
    """One of two processes: its own half of the data."""
    sys.path.insert(0, str(Path(__file__).parent))
    from small_networks import CNN, build, inputs_of

    import bitwright as bw

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model = build(CNN)
    network = bw.prepare_qat(model, **options).train()
    parallel = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.SGD(parallel.parameters(), 1e-2)
    x = torch.from_numpy(inputs_of(model, 32))[rank::2]
    for _ in range(3):
        optimizer.zero_grad()
        parallel(x).square().mean().backward()
        optimizer.step()
    parallel(x)  # brings what the first process has seen to the others
    tensors = {k: v for k, v in network.state_dict().items() if isinstance(v, torch.Tensor) and "seen" not in k}
    torch.save({k: v for k, v in tensors.items() if not k.endswith(("mean", "var"))}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("options", [{"bn": "correct"}, {"ranges": "learned", "delay": 1}], ids=["correct", "learned"])
def test_two_processes_end_with_the_same_network(tmp_path, options):
    """Gradients are averaged, ranges are the first process's; scales that are not in use yet wait for nobody."""
    torch.multiprocessing.spawn(work, args=(str(tmp_path), options), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys() and len(first) > 10
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
