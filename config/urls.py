"""Root URLs: each app names its own paths; nothing of the domain stands here."""

from django.urls import include, path

from config.api import api

urlpatterns = [
    # What is scanned is asked for most and begins the list: patterns are tried in their order.
    path("", include("labels.urls")),
    path("api/v1/", api.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("trace.urls")),
    path("", include("recalls.urls")),
    path("", include("desk.urls")),
]
