"""Names of the files in a run's folder, each once."""

from __future__ import annotations

CONFIG_FILE = "config.yaml"
SECONDS_FILE = "seconds.json"
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
