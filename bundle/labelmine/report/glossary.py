"""Words on the pages, each explained once."""

from __future__ import annotations

from labelmine.report.page import Glossary, Section

_OVERLAP = (
    "Overlap of two outlines, 0 (none) to 1 (equal), per image at its original size; with several classes, their mean. "
    "Where gold holds no lesion, an empty answer counts 1 and any other 0."
)
_TERMS = {
    "gold": (
        "Gold",
        "A mask drawn or confirmed by an expert, and its image. Validation and test use gold only.",
    ),
    "gold_used": (
        "Part of the gold used",
        "A part of 10 % means: of all gold masks that do not test, one in ten was shown to the method, those that "
        "validate included. The other images were there without their masks.",
    ),
    "dice": ("Dice", _OVERLAP),
    "dice_iou": ("Dice and IoU", _OVERLAP),
    "lesions": (
        "Lesions found, false lesions",
        "A lesion is a connected part of the gold mask of one class; it is found when the answer covers at least half "
        "of it. A false lesion is a connected part of the answer that touches no gold of its class. One large answer "
        "may find many lesions: read these figures beside Dice.",
    ),
    "distances": (
        "Hausdorff 95, surface Dice",
        "How far the two outlines lie apart in the image's plane, in millimetres, where the image file says how large "
        "a pixel is. Hausdorff 95: only 5 % of an outline lies farther from the other; it is not defined where only "
        "one of the two is empty, and such answers are left out of its mean, so look at their number before comparing. "
        "Surface Dice: the part of both outlines that lies within a tolerance (2 mm unless set otherwise) of the "
        "other, 0 to 1.",
    ),
    "interval": (
        "95 % interval",
        "Where the figure would mostly fall with other test images of the same kind (bootstrap; images of one patient, "
        "video or volume are drawn together). The interval of a change compares each image with itself.",
    ),
    "seed": (
        "Seed, standard deviation (SD)",
        "Each seed draws other gold masks and trains anew; the test images stay. The standard deviation says how far "
        "seeds lie apart; one seed has none. Intervals are of each image's mean over seeds.",
    ),
    "verdict": (
        "Better, worse, unsure",
        "Better or worse: the 95 % interval of the change leaves out zero, and the change has the same sign in every "
        "seed. Unsure: anything else; the two cannot be told apart here.",
    ),
    "labeler": (
        "Labeler, blend, score",
        "The labeler draws pseudo labels: the teacher, or what stands in its place. The blend is the mean of its mask "
        "and the student's. A label's score is the Dice that it is expected to have against gold.",
    ),
    "mining": (
        "Student, teacher, pseudo label",
        "The student is the small network that is kept. It asks a large frozen model, the teacher, for outlines of "
        "images without gold; those that pass the checks are pseudo labels and train the next student, called mined.",
    ),
    "teacher_calls": (
        "Student, teacher, teacher calls",
        "The student is the small network that is examined. To mine, it asks a large frozen model, the teacher, for "
        "outlines of images without gold; a call is one image encoded or one answer decoded. Time includes the "
        "training of the first student where a method needs one.",
    ),
    "admitted": (
        "Admitted",
        "A made image joins the training set only if it is no copy of a training image and, where it has a mask, if "
        "student and teacher see the lesion where the mask is.",
    ),
    "copy": (
        "Copy",
        "A made image nearer to a training image in feature space than nearly all training images are to each other.",
    ),
    "frechet": (
        "Fréchet distance",
        "How far two sets of images differ in mean and spread of their features; 0 for equal sets. With features of "
        "Inception it is called FID. It depends on the number of images.",
    ),
    "ms_ssim": (
        "MS-SSIM",
        "Similarity of two images, at most 1. Within a set: of random pairs, lower is more diverse. To the nearest "
        "gold: higher than real images have it tells of images learnt by heart.",
    ),
}


def glossary_section(*names: str) -> Section:
    """The last section of a page: the meaning of its terms, in this order.

    Raises:
        KeyError: A name that is not among the terms.
    """
    return Section("Words on this page", [Glossary(dict(_TERMS[name] for name in names))])
