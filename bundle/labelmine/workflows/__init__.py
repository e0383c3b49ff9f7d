"""The Python halves of the configs: what is too long for an expression, and belongs to no single room."""

from labelmine.workflows.embedding import embed_images
from labelmine.workflows.feature_networks import build_feature_network
from labelmine.workflows.gate import GateStage
from labelmine.workflows.generator_training import generator_loader, generator_trainer, kinds_of, new_generator
from labelmine.workflows.inference import (
    Examination,
    StudentInferer,
    find_images,
    finish_labels,
    load_predictor,
    prepare_views,
    student_sha256,
    unfinished,
)
from labelmine.workflows.mining import Conclusion, best_student
from labelmine.workflows.prediction import Predictor, compare, evaluate
from labelmine.workflows.pretraining import (
    finish_pretraining,
    new_simclr,
    pretraining_loader,
    pretraining_trainer,
)
from labelmine.workflows.prompt_search import PromptSearch
from labelmine.workflows.prompt_settings import PromptSetting, SearchSpace, default_setting
from labelmine.workflows.recorded_run import RecordedRun, open_run
from labelmine.workflows.replay import Replay
from labelmine.workflows.review import review_run, write_review
from labelmine.workflows.run_folder import RunFolder
from labelmine.workflows.schedule import SavedStudent, mined_handlers, mined_items, mined_student
from labelmine.workflows.searched_gold import gold_items, images_of_run, trained_settings
from labelmine.workflows.start import starting_weights
from labelmine.workflows.study import Study, study_grid
from labelmine.workflows.study_images import StudyImages
from labelmine.workflows.study_page import StudyPage
from labelmine.workflows.synthesis import AdmissionStage, CandidateStage, any_admitted, mixed_items
from labelmine.workflows.synthesis_conclusion import SynthesisConclusion
from labelmine.workflows.training import (
    PrepareStudentBatch,
    TrainingPlan,
    learning_rate_schedule,
    new_student,
    student_evaluator,
    student_loader,
    student_trainer,
    view_dataset,
)

__all__ = [
    "AdmissionStage",
    "CandidateStage",
    "Conclusion",
    "Examination",
    "GateStage",
    "Predictor",
    "PrepareStudentBatch",
    "PromptSearch",
    "PromptSetting",
    "RecordedRun",
    "Replay",
    "RunFolder",
    "SavedStudent",
    "SearchSpace",
    "StudentInferer",
    "Study",
    "StudyImages",
    "StudyPage",
    "SynthesisConclusion",
    "TrainingPlan",
    "any_admitted",
    "best_student",
    "build_feature_network",
    "compare",
    "default_setting",
    "embed_images",
    "evaluate",
    "find_images",
    "finish_labels",
    "finish_pretraining",
    "generator_loader",
    "generator_trainer",
    "gold_items",
    "images_of_run",
    "kinds_of",
    "learning_rate_schedule",
    "load_predictor",
    "mined_handlers",
    "mined_items",
    "mined_student",
    "mixed_items",
    "new_generator",
    "new_simclr",
    "new_student",
    "open_run",
    "prepare_views",
    "pretraining_loader",
    "pretraining_trainer",
    "review_run",
    "starting_weights",
    "student_evaluator",
    "student_loader",
    "student_sha256",
    "student_trainer",
    "study_grid",
    "trained_settings",
    "unfinished",
    "view_dataset",
    "write_review",
]
