"""Images and masks: finding them, reading them, checking them."""

from labelmine.data.classes import ClassMap, ClassSpec
from labelmine.data.headers import slice_index
from labelmine.data.integrity import CheckedItems, check_items
from labelmine.data.intensities import Window
from labelmine.data.items import Item, Split
from labelmine.data.loading import LoadedItem, LoadItem, read_label
from labelmine.data.reading import read_image, read_mask
from labelmine.data.sources import SetAside, find_items

__all__ = [
    "CheckedItems",
    "ClassMap",
    "ClassSpec",
    "Item",
    "LoadItem",
    "LoadedItem",
    "SetAside",
    "Split",
    "Window",
    "check_items",
    "find_items",
    "read_image",
    "read_label",
    "read_mask",
    "slice_index",
]
