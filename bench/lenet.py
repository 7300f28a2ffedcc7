"""LeNet-300-100 and LeNet-5 on MNIST: trained here, then pruned, shared and coded, as Deep Compression has it.

    python -m bench.lenet --data ../shared/data [lenet_300_100] [lenet_5] [--seeds 3]

Source of the networks: LeCun et al. 1998, in the sizes of Han et al. 2015 (266 610 and 431 080 parameters).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import bitwright as bw
from bench.paths import OUT, print_table, write_json
from bitwright.calibration.idx import read_idx
from bitwright.demo.machine import describe_machine


def lenet_300_100() -> nn.Module:
    """Three products."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )


def lenet_5() -> nn.Module:
    """Two convolutions and two products."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Module]] = {"lenet_300_100": lenet_300_100, "lenet_5": lenet_5}
#: Of each weight in order: the share that becomes zero, and the values that are left share.
SPARSITY = {"lenet_300_100": (0.92, 0.9, 0.6), "lenet_5": (0.3, 0.88, 0.94, 0.7)}
CLUSTERS = {"lenet_300_100": (17, 17, 17), "lenet_5": (65, 33, 17, 17)}
EPOCHS = {"float": 20, "prune": 40, "share": 15}


def main() -> None:
    """Train, compress, print, write bench/out/lenet.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    (x, y), (tx, ty) = (mnist(arguments.data, part) for part in ("train", "t10k"))
    rows, data = [], []
    for name in arguments.networks:
        for seed in range(arguments.seeds):
            made = compressed(name, seed, (x, y), (tx, ty))
            data.append(made)
            cells = [f"{made[key]:.2f} %" for key in ("float_error", "pruned_error", "shared_error")]
            size = f"{made['float32_bytes']:,} -> {made['file_bytes']:,}"
            rows.append([name, str(seed), *cells, f"{made['zeros']:.1%}", size, f"{made['ratio']:.1f}x"])
            print(rows[-1], flush=True)
    columns = ["network", "seed", "error, float", "pruned", "shared, as packed", "zeros", "bytes", "smaller"]
    print(describe_machine())
    print_table(columns, rows)
    print(write_json("lenet", data))


def compressed(name: str, seed: int, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> dict[str, object]:
    """One network through all stages."""
    torch.manual_seed(seed)
    started = time.perf_counter()
    module = NETWORKS[name]()
    trained = bw.trainable(module, example_inputs=torch.zeros(2, 1, 28, 28))
    options: dict[str, Any] = {"batch_size": 128, "seed": seed}
    bw.fit(trained, train, epochs=EPOCHS["float"], learning_rate=2e-3, weight_decay=1e-2, distill=0.0, **options)
    source = bw.convert(trained)
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.onnx"
    source.save(path)
    options["augment"] = "shift=1"  # what is retrained sees each image a little moved
    made: dict[str, object] = {"network": name, "seed": seed, "float_error": error(trained, test)}
    steps = (len(train[0]) // 128) * EPOCHS["prune"]
    network = bw.trainable(str(path))
    for weight, share in zip(network.weight_names(), SPARSITY[name], strict=True):
        schedule = bw.PolynomialDecay(0.0, share, 0, int(0.7 * steps), frequency=50)
        others = tuple(f"^{other}$" for other in network.weight_names() if other != weight)
        network = bw.prune_low_magnitude(network, schedule, exclude=others)
    bw.fit(network, train, epochs=EPOCHS["prune"], learning_rate=2e-3, weight_decay=0.0, **options)
    network = bw.strip_pruning(network)
    made |= {"pruned_error": error(network, test), "zeros": bw.sparsity(network).total.share}
    counts = dict(zip((f"^{weight}$" for weight in network.weight_names()), CLUSTERS[name], strict=True))
    network = bw.cluster_weights(network, counts, cluster_centroids_init="linear", seed=seed)
    bw.fit(network, train, epochs=EPOCHS["share"], learning_rate=5e-4, weight_decay=0.0, **options)
    packed = OUT / f"{name}.bwz"
    bw.pack(bw.convert(network), packed)
    again = bw.trainable(str(packed))
    weights = sum(parameter.numel() for parameter in module.parameters()) * 4
    return made | {
        "shared_error": error(again, test),
        "float32_bytes": weights,
        "file_bytes": packed.stat().st_size,
        "ratio": weights / packed.stat().st_size,
        "seconds": time.perf_counter() - started,
    }


@torch.no_grad()
def error(network: nn.Module, test: tuple[Tensor, Tensor]) -> float:
    """Test error in percent."""
    network.eval()
    return 100 * float((network(test[0]).argmax(1) != test[1]).float().mean())


def mnist(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Images f32[N,1,28,28], 0..1, and labels."""
    images = torch.from_numpy(read_idx(folder / f"{part}-images-idx3-ubyte.gz")).float() / 255
    return images.reshape(-1, 1, 28, 28), torch.from_numpy(read_idx(folder / f"{part}-labels-idx1-ubyte.gz")).long()


if __name__ == "__main__":
    main()
