"""A clinic's program around the student: ONNX Runtime, numpy and Pillow, and neither labelmine nor torch.

    labelmine export onnx RUN FOLDER
    python examples/student_with_onnxruntime.py FOLDER/model.onnx IMAGES MASKS

Three steps, as an application of MONAI Deploy has its operators: load, segment, write. For DICOM put a loader of your
own in place of the first; it gives a frame after its window as 0..255, grey three times.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


# --- load
def load(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and pixels of each picture: float32 (H, W, 3), RGB in 0..255, of any size."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".tif", ".tiff"}:
            yield path.stem, np.asarray(Image.open(path).convert("RGB"), np.float32)


# --- segment
class Student:
    """The exported student, with what it says of itself."""

    def __init__(self, model: Path) -> None:
        """Open the file."""
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        told = self.session.get_modelmeta().custom_metadata_map
        self.class_names: list[str] = json.loads(told["class_names"])
        self.intended_use = told["intended_use"]

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return a mask for each class: bool (K, H, W), at the image's own size."""
        (probability,) = self.session.run(["probability"], {"image": image[None]})
        return np.asarray(probability[0] > 0.5)


# --- write
def write(name: str, masks: np.ndarray, classes: list[str], folder: Path) -> None:
    """Write a PNG file for each class: 255 where it is, 0 elsewhere."""
    for mask, class_name in zip(masks, classes, strict=True):
        (folder / class_name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(folder / class_name / f"{name}.png")


# --- run
def main(model: str, images: str, masks: str) -> None:
    """Segment a folder of pictures."""
    student = Student(Path(model))
    for name, image in load(Path(images)):
        write(name, student.segment(image), student.class_names, Path(masks))
        print(name)
    print(f"classes: {', '.join(student.class_names)}; {student.intended_use}")


if __name__ == "__main__":
    main(*sys.argv[1:])
