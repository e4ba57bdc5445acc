"""Pages of the labels app."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
