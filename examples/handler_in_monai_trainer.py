"""One handler in a trainer of your own: MONAI's `SupervisedTrainer`, your network, your loss, your batches.

    uv run python examples/handler_in_monai_trainer.py

It trains a MONAI U-Net on 6 phantoms with masks and 6 without, which the compact teacher labels before the first step.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, ScaleIntensityRanged

from labelmine.data.phantom import write_phantom_set


# --- data
def batches(folder: Path) -> tuple[DataLoader, DataLoader]:
    """Return batches of all images, and of those without a mask."""
    images = sorted((folder / "images").glob("*.png"))
    items = [
        {"id": path.stem, "image": path, "label": folder / "masks" / path.name, "is_labeled": index % 2 == 0}
        for index, path in enumerate(images)
    ]
    load = Compose(
        [
            LoadImaged(["image", "label"], reader="PILReader"),
            EnsureChannelFirstd(["image", "label"]),
            ScaleIntensityRanged(["image", "label"], 0, 255, 0, 1),  # images: float32 in [0, 1]
        ]
    )
    unlabelled = [item for item in items if not item["is_labeled"]]
    return DataLoader(Dataset(items, load), batch_size=4, shuffle=True), DataLoader(
        Dataset(unlabelled, load), batch_size=4
    )


# --- handler
from labelmine.handlers import PseudoLabeling, Schedule  # noqa: E402 (a section of its own in the guide)
from labelmine.labelers import PromptedLabeler  # noqa: E402
from labelmine.teachers import build_compact_teacher  # noqa: E402


def trainer_with_mining(
    network: torch.nn.Module, train: DataLoader, unlabelled: DataLoader, epochs: int
) -> tuple[SupervisedTrainer, PseudoLabeling]:
    """Return a trainer of MONAI's whose unlabelled rows get labels before each step that trains on them."""
    labeler = PromptedLabeler(build_compact_teacher("compact"))
    mining = PseudoLabeling(labeler, network, unlabelled, schedule=Schedule("one_time"))  # or "continuous"
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=train,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), 1e-3),
        loss_function=DiceCELoss(sigmoid=True),
    )
    mining.attach(trainer)
    return trainer, mining


# --- run
def main(epochs: int = 2) -> None:
    """Train on phantoms and say how many images got a label."""
    torch.manual_seed(0)
    network = UNet(spatial_dims=2, in_channels=3, out_channels=1, channels=(8, 16, 32), strides=(2, 2))
    with tempfile.TemporaryDirectory() as folder:
        write_phantom_set(folder, n_train=12, n_val=0, n_test=0)
        trainer, mining = trainer_with_mining(network, *batches(Path(folder)), epochs)
        trainer.run()
    print(f"{trainer.state.iteration} steps; labels were made for {len(mining.memory.done)} images")


if __name__ == "__main__":
    main()
