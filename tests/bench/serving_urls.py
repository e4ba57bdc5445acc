"""The pages, and an empty view to compare with."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.urls import urlpatterns as ours
from trace.access import audience


@audience("public")
def empty(request: HttpRequest) -> HttpResponse:
    """Nothing at all."""
    return HttpResponse(headers={"Content-Length": "0"})


urlpatterns = [path("empty", empty), *ours]
