"""Teachers: large frozen promptable models, their builders and their weights."""

from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.build import build_compact_teacher, save_compact_teacher, seen_images
from labelmine.teachers.compact import CompactTeacher
from labelmine.teachers.sam import SamTeacher, build_sam_teacher

__all__ = [
    "CompactTeacher",
    "SamTeacher",
    "Teacher",
    "TeacherMasks",
    "build_compact_teacher",
    "build_sam_teacher",
    "save_compact_teacher",
    "seen_images",
]
