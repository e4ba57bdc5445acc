"""Event templates: the steps people record, loaded from ``trace/data/event_templates.yaml``, and the check of
their data.

``loader`` knows what the steps are, ``checking`` whether what was typed fits one, ``computing`` the fields
nobody types.
"""

from trace.event_templates.checking import (
    DataWarning,
    JsonValue,
    Measured,
    clean_cell,
    list_items,
    parse_day,
    parse_measured,
    parse_moment,
    split_personal,
    validate_data,
)
from trace.event_templates.computing import compute_data
from trace.event_templates.loader import (
    COMMON,
    Choice,
    Column,
    EventTemplate,
    Family,
    Goods,
    TemplateField,
    columns,
    common_fields,
    families,
    family,
    template,
    templates,
    templates_for,
    unit_label,
    usual_next,
)

__all__ = [
    "COMMON",
    "Choice",
    "Column",
    "DataWarning",
    "EventTemplate",
    "Family",
    "Goods",
    "JsonValue",
    "Measured",
    "TemplateField",
    "clean_cell",
    "columns",
    "common_fields",
    "compute_data",
    "families",
    "family",
    "list_items",
    "parse_day",
    "parse_measured",
    "parse_moment",
    "split_personal",
    "template",
    "templates",
    "templates_for",
    "unit_label",
    "usual_next",
    "validate_data",
]
