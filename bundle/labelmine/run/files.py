"""Names of the files in a run's folder, each once; comments are lines of docs/reference/outputs.md."""

from __future__ import annotations

#: Configuration as resolved: every knob with its value.
CONFIG_FILE = "config.yaml"
#: Seconds that each finished stage took.
SECONDS_FILE = "seconds.json"
#: Files that were not as they were written; they were made again.
DAMAGED_FOLDER = "damaged"
#: The run in figures, for programs: counts of images, Dice and IoU of each student, labels, gate, seconds.
METRICS_FILE = "metrics.json"
#: What the run said, without paths.
LOG_FILE = "run.log"
#: Encoder that `pretrain-simclr` trained; `--pretrained` takes it.
ENCODER_FILE = "encoder.safetensors"
#: Diffusion model of `synthesize`.
GENERATOR_FILE = "generator.safetensors"
#: Teacher that `train-teacher` trained; `--teacher_weights` takes it.
TEACHER_FILE = "teacher.safetensors"
#: The student that is kept, with its classes, encoder and image size in the metadata.
MODEL_FILE = "model.safetensors"
#: The student for ONNX Runtime, of `export onnx`; folders are named as on the Hugging Face hub.
ONNX_FILE = "onnx/model.onnx"
#: The same in 8 bits.
INT8_FILE = "onnx/model_int8.onnx"
#: The student for OpenVINO, of `export openvino`.
OPENVINO_FILE = "openvino/model.xml"
#: The student as TorchScript, of `export torchscript`.
TORCHSCRIPT_FILE = "model.ts"
#: Which image trains, validates, tests, or is unlabelled; `--split_file` takes it.
SPLIT_FILE = "split.json"
#: Files that were set aside, each with its reason.
QUARANTINE_FILE = "quarantine.csv"
#: Who labels (student, teacher or their blend), on what evidence, and how scores were calibrated.
GATE_FILE = "gate.json"
#: What makes the probabilities of eight looks true, learnt on gold; `predict --uncertainty true` takes it.
PIXELS_FILE = "pixel_calibration.json"
#: Dice of student, teacher and blend on each image of held-out gold.
GATE_TABLE = "gate.csv"
#: The teacher's decoder, fitted to this gold, with its exam.
FITTED_FOLDER = "fitted_teacher"
#: Whether the fitted decoder labels, and the figures that decided it.
FITTED_FILE = "fitted.json"
#: Pseudo labels: mask files, `manifest.csv` and `review.csv`.
LABELS_FOLDER = "labels"
#: Of `export`: what was handed over, and whose it is.
EXPORT_FILE = "export.json"
#: Maps of `predict --uncertainty true`.
UNCERTAINTY_FOLDER = "uncertainty"
#: The page to look at: `index.html` and its pictures, without anything from outside.
REPORT_FOLDER = "report"
#: The built-in image set, where no images were given.
PHANTOM_FOLDER = "phantom"
#: A DICOM SEG per series, named by its Series Instance UID.
DICOM_SEG_FOLDER = "dicom_seg"
#: An RT Structure Set per series.
RT_STRUCTURES_FOLDER = "rt_structures"
#: A NIfTI volume of masks per series.
NIFTI_FOLDER = "nifti"
#: Images that came from a PACS.
FETCHED_FOLDER = "fetched"
#: Key of the pseudonyms of `--deidentify`: keep it to yourself.
PSEUDONYM_KEY_FILE = "pseudonym.key"

#: Of a stage that trains: the weights that were kept.
BEST_FILE = "best.safetensors"
#: Of a stage that trains: what a killed run goes on from.
CHECKPOINT_FILE = "checkpoint.pt"
#: Of a stage that trains: loss and validation Dice by epoch.
HISTORY_FILE = "history.csv"
#: Of a stage that labels as it trains: labels and their quality by epoch.
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
