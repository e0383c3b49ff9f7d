"""The SAM teacher's decoder on 16 images x 3 objects in one call, against stock ``SamPredictor.predict`` in a loop.

ViT-B shapes, random weights shared by both sides, images of 512 px. Both start from embeddings: the predictor is given
an image's features and asked for each object by its box, best of three masks; ours gets all objects at once. Both end
with masks at the images' size.

    uv run python scripts/benchmarks/decoder.py [--images 16] [--objects 3] [--rounds 5]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from side_by_side import Comparison, machine, print_verdict, time_side_by_side
from torch import Tensor

from labelmine.prompts import Prompts
from labelmine.teachers import SamTeacher

BARS = {"cpu": 3.0, "cuda": 8.0}
SIZE = 512


def boxes_of(images: int, objects: int) -> Tensor:
    """Return random boxes (images x objects, 4) in pixels."""
    corner = torch.rand(images * objects, 2) * SIZE / 2
    return torch.cat([corner, corner + 20 + torch.rand_like(corner) * SIZE / 3], 1)


def stock_loop(predictor: SamPredictor, embeddings: Tensor, boxes: Tensor) -> np.ndarray:
    """Ask the stock predictor about one object after another; return masks (N, 512, 512)."""
    masks = []
    for features, of_image in zip(embeddings, boxes.view(len(embeddings), -1, 4), strict=True):
        predictor.reset_image()
        predictor.original_size, predictor.input_size = (SIZE, SIZE), (1024, 1024)
        predictor.features, predictor.is_image_set = features[None], True
        for box in of_image.cpu().numpy():
            found, iou, _ = predictor.predict(box=box, multimask_output=True)
            masks.append(found[iou.argmax()])
    return np.stack(masks)


def main() -> None:
    """Time both in turns and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"](checkpoint=None).eval().to(device)
    predictor, teacher = SamPredictor(sam), SamTeacher(sam, weights_sha256="random")
    embeddings = torch.randn(args.images, 256, 64, 64, device=device)
    boxes = boxes_of(args.images, args.objects).to(device)
    index = torch.arange(args.images, device=device).repeat_interleave(args.objects)
    asked = Prompts(image_index=index, class_index=torch.zeros_like(index), boxes=boxes)

    def ours() -> Tensor:
        return teacher.decode(embeddings, asked, (SIZE, SIZE)).logits > 0

    stock = torch.from_numpy(stock_loop(predictor, embeddings, boxes))
    agreement = float((stock == ours().cpu()).float().mean())
    seconds = time_side_by_side(
        {"stock": lambda: stock_loop(predictor, embeddings, boxes), "labelmine": ours}, args.rounds
    )
    gain = Comparison.of(seconds["stock"], seconds["labelmine"])
    per_object = {name: round(min(values) / len(boxes), 4) for name, values in seconds.items()}
    print(f"{args.images} images x {args.objects} objects, {machine()}")
    print(f"seconds per object: {per_object}; pixels that agree: {agreement:.5f}")
    print(f"stock by labelmine: {gain} (bar {BARS[device]})")
    details = {"spread": gain.spread, "seconds_per_object": per_object, "agreement": agreement}
    print_verdict("decoder", gain.ratio, BARS[device], device, **details)


if __name__ == "__main__":
    main()
