#!/usr/bin/env bash
# The labels of a run in nnU-Net v2: exported, checked and planned by nnU-Net, trained on the fold whose figures are fair.
#     examples/labels_in_nnunet.sh RUN 501 polyps
# nnunetv2 may live in an environment of its own: all that the two share is the folder.
set -euo pipefail

# --- run
run=$1 number=$2 name=Dataset$2_$3
export nnUNet_raw=${nnUNet_raw:-nnunet/raw}
export nnUNet_preprocessed=${nnUNet_preprocessed:-nnunet/preprocessed}
export nnUNet_results=${nnUNet_results:-nnunet/results}

labelmine export nnunet "$run" "$nnUNet_raw/$name"
nnUNetv2_plan_and_preprocess -d "$number" --verify_dataset_integrity
cp "$nnUNet_raw/$name/splits_final.json" "$nnUNet_preprocessed/$name/" # else nnU-Net draws folds of its own
nnUNetv2_train "$number" 2d 0
