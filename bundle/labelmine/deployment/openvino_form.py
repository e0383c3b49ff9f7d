"""The student as OpenVINO's intermediate representation, read from its ONNX file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from labelmine.deployment.facts import StudentFacts
from labelmine.extras import extra

#: On CPUs that multiply bfloat16 OpenVINO computes in it unless told otherwise: masks then have Dice 0.4 to 0.99 with
#: torch's, as even pixels' positions are rounded to 8 bits.
PRECISE = {"INFERENCE_PRECISION_HINT": "f32"}


def export_openvino(facts: StudentFacts, onnx_file: Path, path: Path) -> Path:
    """Write ``path`` (.xml) and its weights beside it (.bin) with the input, output and metadata of the ONNX file.

    Raises:
        ConfigError: openvino is not installed.
    """
    openvino = extra("openvino", "openvino")
    # Not openvino.convert_model, which reports its use to Intel.
    model = openvino.Core().read_model(onnx_file)
    for key, value in facts.as_texts().items():
        model.set_rt_info(value, ["labelmine", key])
    model.set_rt_info("compile with INFERENCE_PRECISION_HINT f32; bfloat16 spoils masks", ["labelmine", "precision"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as draft:
        written = Path(draft) / path.name
        openvino.save_model(model, written, compress_to_fp16=False)
        # The .xml last: who finds it finds both.
        for suffix in (".bin", ".xml"):
            os.replace(written.with_suffix(suffix), path.with_suffix(suffix))
    return path
