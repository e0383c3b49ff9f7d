"""Teachers: large frozen promptable models, their builders and their weights."""

from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.build import build_compact_teacher, save_compact_teacher, seen_images
from labelmine.teachers.cache import EmbeddingCache
from labelmine.teachers.cached import CachedTeacher, build_cached_teacher, cache_metrics
from labelmine.teachers.compact import CompactTeacher
from labelmine.teachers.hugging_face import HuggingFaceTeacher, build_hugging_face_teacher
from labelmine.teachers.sam import SamTeacher, build_sam_teacher

__all__ = [
    "CachedTeacher",
    "CompactTeacher",
    "EmbeddingCache",
    "HuggingFaceTeacher",
    "SamTeacher",
    "Teacher",
    "TeacherMasks",
    "build_cached_teacher",
    "build_compact_teacher",
    "build_hugging_face_teacher",
    "build_sam_teacher",
    "cache_metrics",
    "save_compact_teacher",
    "seen_images",
]
