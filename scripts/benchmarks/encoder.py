"""The SAM teacher's image encoder (ViT-B) against stock ``segment_anything``, and Hugging Face's with SDPA beside it.

All have random weights, ours and stock the same ones; speed does not depend on their values. On a CPU in float32, one
image at a time; on a GPU ours runs in bfloat16, compiled and batched, against stock in float32, one at a time, and its
masks are compared with those of the float32 embeddings.

    uv run python scripts/benchmarks/encoder.py [--rounds 3] [--batch_size 8]
"""

from __future__ import annotations

import argparse

import torch
from segment_anything import sam_model_registry
from side_by_side import Comparison, machine, print_verdict, time_side_by_side
from torch import Tensor, nn
from transformers import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoder

from labelmine.prompts import Prompts
from labelmine.teachers import SamTeacher

BARS = {"cpu": 1.4, "cuda": 8.0}
SIDE = 1024


def mask_iou(teacher: SamTeacher, ours: Tensor, exact: Tensor) -> float:
    """Return the mean IoU of masks from two embeddings (B, 256, 64, 64) of the same images, one box an image."""
    count = len(ours)
    boxes = torch.tensor([[256.0, 256.0, 768.0, 768.0]], device=ours.device).expand(count, 4)
    index = torch.arange(count, device=ours.device)
    asked = Prompts(image_index=index, class_index=torch.zeros_like(index), boxes=boxes)
    a, b = (teacher.decode(e, asked, (SIDE, SIDE)).logits > 0 for e in (ours, exact))
    union = (a | b).sum((1, 2)).clamp(min=1)
    return float(((a & b).sum((1, 2)) / union).mean())


def main() -> None:
    """Time the encoders in turns and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, help="images per call of ours; default: 1 on a CPU, 8 on a GPU")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = args.batch_size or (8 if device == "cuda" else 1)
    torch.manual_seed(0)
    stock = sam_model_registry["vit_b"](checkpoint=None).eval().to(device)
    for table in (p for n, p in stock.named_parameters() if "rel_pos" in n or "pos_embed" in n):
        nn.init.normal_(table, std=0.02)  # zeros at the start: a wrong position term would not show
    teacher = SamTeacher(stock, weights_sha256="random")
    huggingface = SamVisionEncoder(SamVisionConfig(attn_implementation="sdpa")).eval().to(device)
    images = torch.rand(batch, 3, SIDE, SIDE, device=device)

    @torch.no_grad()
    def one_by_one(encoder: nn.Module) -> Tensor:
        return torch.cat([encoder(image[None]) for image in teacher.preprocess(images)])

    @torch.no_grad()
    def of_huggingface() -> None:
        for image in teacher.preprocess(images):
            huggingface(image[None])

    exact, ours = one_by_one(stock.image_encoder), teacher.encode(images)
    sides = {
        "stock": lambda: one_by_one(stock.image_encoder),
        "labelmine": lambda: teacher.encode(images),
        "huggingface": of_huggingface,
    }
    seconds = time_side_by_side(sides, args.rounds)
    gain = Comparison.of(seconds["stock"], seconds["labelmine"])
    beside = Comparison.of(seconds["huggingface"], seconds["labelmine"])
    per_image = {name: round(min(values) / batch, 3) for name, values in seconds.items()}
    difference, iou = float((exact - ours).abs().max()), mask_iou(teacher, ours, exact)
    print(f"ViT-B, {batch} images of {SIDE} px a call, {machine()}")
    print(f"seconds per image: {per_image}")
    print(f"stock by labelmine: {gain} (bar {BARS[device]}); Hugging Face SDPA by labelmine: {beside}")
    print(f"largest difference from stock's embeddings {difference:.1e}, IoU of masks {iou:.4f}")
    print_verdict(
        "encoder",
        gain.ratio,
        BARS[device],
        device,
        spread=gain.spread,
        huggingface=round(beside.ratio, 3),
        seconds_per_image=per_image,
        difference=difference,
        mask_iou=iou,
    )


if __name__ == "__main__":
    main()
