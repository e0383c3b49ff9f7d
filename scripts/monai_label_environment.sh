#!/usr/bin/env bash
# Make an environment in which MONAI Label 0.8.5 and labelmine's dependencies live together:  monai_label_environment.sh FOLDER
# Its requirements hold numpy below 2 and pydicom below 3, with which pandas 3 and highdicom do not go; it runs with newer ones.
set -euo pipefail
folder=${1:?usage: monai_label_environment.sh FOLDER}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '%s\n' 'numpy>=2' 'pydicom>=3' 'sam2; python_version < "3"' 'numpymaxflow; python_version < "3"' > "$work/overrides.txt"
uv export -q --no-dev --no-emit-project --no-hashes --output-file "$work/requirements.txt"
uv venv -q --allow-existing "$folder"
uv pip install -q --python "$folder/bin/python" --overrides "$work/overrides.txt" -r "$work/requirements.txt" monailabel==0.8.5
# Its pydicom-seg imports a constant that pydicom 3 moved.
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
cat > "$site/pydicom_seg_constant.pth" << 'PTH'
import sys, types; m = types.ModuleType("pydicom._storage_sopclass_uids"); m.SegmentationStorage = "1.2.840.10008.5.1.4.1.1.66.4"; sys.modules[m.__name__] = m
PTH
