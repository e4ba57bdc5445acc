"""Pages of the recalls app."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
