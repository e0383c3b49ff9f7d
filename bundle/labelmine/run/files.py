"""Names of the files in a run's folder, each once; comments are lines of docs/reference/outputs.md."""

from __future__ import annotations

#: Configuration as resolved: every knob with its value.
CONFIG_FILE = "config.yaml"
#: Seconds that each finished stage took.
SECONDS_FILE = "seconds.json"
#: The run in figures, for programs: counts of images, Dice and IoU of each student, labels, gate, seconds.
METRICS_FILE = "metrics.json"
#: Encoder that `pretrain-simclr` trained; `--pretrained` takes it.
ENCODER_FILE = "encoder.safetensors"
#: Diffusion model of `synthesize`.
GENERATOR_FILE = "generator.safetensors"
#: Teacher that `train-teacher` trained; `--teacher_weights` takes it.
TEACHER_FILE = "teacher.safetensors"
#: The student that is kept, with its classes, encoder and image size in the metadata.
MODEL_FILE = "model.safetensors"
#: Which image trains, validates, tests, or is unlabelled; `--split_file` takes it.
SPLIT_FILE = "split.json"
#: Files that were set aside, each with its reason.
QUARANTINE_FILE = "quarantine.csv"
#: Who labels (student, teacher or their blend), on what evidence, and how scores were calibrated.
GATE_FILE = "gate.json"
#: The teacher's decoder, fitted to this gold, with its exam.
FITTED_FOLDER = "fitted_teacher"
#: Whether the fitted decoder labels, and the figures that decided it.
FITTED_FILE = "fitted.json"
#: Pseudo labels: mask files, `manifest.csv` and `review.csv`.
LABELS_FOLDER = "labels"
#: The page to look at: `index.html` and its pictures, without anything from outside.
REPORT_FOLDER = "report"
#: The built-in image set, where no images were given.
PHANTOM_FOLDER = "phantom"

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
