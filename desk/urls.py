"""Pages of the desk app."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
