"""The area of recalls: one scope, several tags would say less than one."""

from django.utils.translation import gettext_lazy

from trace.api.operations import Area

area = Area("recalls", gettext_lazy("召回"))
