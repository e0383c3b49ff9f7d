"""Teachers: large frozen promptable models, their builders and their weights."""

from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.build import build_compact_teacher, save_compact_teacher, seen_images
from labelmine.teachers.compact import CompactTeacher

__all__ = ["CompactTeacher", "Teacher", "TeacherMasks", "build_compact_teacher", "save_compact_teacher", "seen_images"]
