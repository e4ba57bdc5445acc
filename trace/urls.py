"""Pages of the trace app."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
