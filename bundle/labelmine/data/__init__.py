"""Images and masks: finding, reading, checking and splitting them, and keeping the labels made for them."""

from labelmine.data.classes import ClassMap, ClassSpec
from labelmine.data.duplicates import Pair, near_duplicates
from labelmine.data.file_grid import FileGrid
from labelmine.data.folds import Fold, folds_beside_validation, gold_folds
from labelmine.data.headers import pixel_spacing, slice_index
from labelmine.data.image_set import ImageSet, find_images, prepare_image_set
from labelmine.data.integrity import CheckedItems, check_items
from labelmine.data.intensities import Window
from labelmine.data.items import Item, Split
from labelmine.data.label_store import LabelStore
from labelmine.data.loading import LoadedItem, LoadItem, read_label
from labelmine.data.maps import join_maps, read_map, write_maps
from labelmine.data.mask_folder import MaskFolder
from labelmine.data.phantom import write_phantom_set
from labelmine.data.png import encode_png
from labelmine.data.reading import read_image
from labelmine.data.set_aside import SetAside
from labelmine.data.sources import find_items
from labelmine.data.splits import split_items
from labelmine.data.stored_masks import read_mask

__all__ = [
    "CheckedItems",
    "ClassMap",
    "ClassSpec",
    "FileGrid",
    "Fold",
    "ImageSet",
    "Item",
    "LabelStore",
    "LoadItem",
    "LoadedItem",
    "MaskFolder",
    "Pair",
    "SetAside",
    "Split",
    "Window",
    "check_items",
    "encode_png",
    "find_images",
    "find_items",
    "folds_beside_validation",
    "gold_folds",
    "join_maps",
    "near_duplicates",
    "pixel_spacing",
    "prepare_image_set",
    "read_image",
    "read_label",
    "read_map",
    "read_mask",
    "slice_index",
    "split_items",
    "write_maps",
    "write_phantom_set",
]
