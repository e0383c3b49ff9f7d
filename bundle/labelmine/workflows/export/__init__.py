"""Handing a run on to other programs. The table of forms is light to import, as help shows it."""

from labelmine.workflows.export.forms import FORMS, PURPOSES, Form, form_named

__all__ = ["FORMS", "PURPOSES", "Form", "form_named"]
