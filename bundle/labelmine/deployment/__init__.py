"""The student in forms for other programs, and as they run it: ONNX, OpenVINO, TorchScript, a hub folder."""

from labelmine.deployment.facts import StudentFacts
from labelmine.deployment.onnx_form import export_onnx
from labelmine.deployment.openvino_form import export_openvino
from labelmine.deployment.runtimes import RuntimeStudent, found_or_written, open_onnx, open_openvino, runtime_student
from labelmine.deployment.torchscript_form import export_torchscript

__all__ = [
    "RuntimeStudent",
    "StudentFacts",
    "export_onnx",
    "export_openvino",
    "export_torchscript",
    "found_or_written",
    "open_onnx",
    "open_openvino",
    "runtime_student",
]
