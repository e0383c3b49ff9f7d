"""Names of the files in a run's folder, each once."""

from __future__ import annotations

CONFIG_FILE = "config.yaml"
SECONDS_FILE = "seconds.json"
DAMAGED_FOLDER = "damaged"
METRICS_FILE = "metrics.json"
LOG_FILE = "run.log"
ENCODER_FILE = "encoder.safetensors"
GENERATOR_FILE = "generator.safetensors"
TEACHER_FILE = "teacher.safetensors"
MODEL_FILE = "model.safetensors"
# The student for other programs; the folders are named as on the Hugging Face hub.
ONNX_FILE, INT8_FILE = "onnx/model.onnx", "onnx/model_int8.onnx"
OPENVINO_FILE = "openvino/model.xml"
TORCHSCRIPT_FILE = "model.ts"
SPLIT_FILE = "split.json"
QUARANTINE_FILE = "quarantine.csv"
GATE_FILE = "gate.json"
PIXELS_FILE = "pixel_calibration.json"
GATE_TABLE = "gate.csv"
FITTED_FOLDER = "fitted_teacher"
FITTED_FILE = "fitted.json"
LABELS_FOLDER = "labels"
EXPORT_FILE = "export.json"
UNCERTAINTY_FOLDER = "uncertainty"
REPORT_FOLDER = "report"
PHANTOM_FOLDER = "phantom"
# Masks of DICOM series: a file per series, named by its Series Instance UID.
DICOM_SEG_FOLDER, RT_STRUCTURES_FOLDER, NIFTI_FOLDER = "dicom_seg", "rt_structures", "nifti"
# Images that came from a PACS.
FETCHED_FOLDER = "fetched"
PSEUDONYM_KEY_FILE = "pseudonym.key"

# Of a stage that trains.
BEST_FILE = "best.safetensors"
CHECKPOINT_FILE = "checkpoint.pt"
HISTORY_FILE = "history.csv"
LABEL_HISTORY_FILE = "label_history.csv"

# Stages that train a student, whose folders bear their names.
SUPERVISED, MINED, MIXED = "supervised", "mined", "mixed"

# Folders of short trainings, each on a part of the gold, are numbered.
FOLD = "fold_{}"


def decides(name: str) -> bool:
    """Whether later stages were made from a file of a stage, so that it must come out the same if it is made again.

    Example:
        >>> decides("supervised/best.safetensors"), decides("labels/masks/a.png"), decides("metrics.json")
        (True, True, False)
    """
    return name.endswith((".safetensors", ".png")) or name in (SPLIT_FILE, GATE_FILE)


def made_with(name: str) -> str | None:
    """Return the file of the same stage that must go, too, for a file to be made again; None: there is none.

    Example:
        >>> made_with("gate.csv"), made_with("fitted_teacher/fold_0.safetensors"), made_with("split.json")
        ('gate.json', 'fitted_teacher/fitted.json', None)
    """
    if name == GATE_TABLE:
        return GATE_FILE
    return f"{FITTED_FOLDER}/{FITTED_FILE}" if name.startswith(f"{FITTED_FOLDER}/") else None
