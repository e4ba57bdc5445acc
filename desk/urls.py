"""Pages of the desk app."""

from django.urls import path

from desk.views import console, homes, lots

app_name = "desk"

urlpatterns = [
    path("", homes.home, name="home"),
    path("", homes.home, name="portal"),
    path("help/", homes.guide, name="help"),
    path("go/", lots.go, name="find"),
    path("lots/<uuid:uid>/", lots.lot_detail, name="lot_detail"),
    path("trace/scope/", console.scope, name="scope"),
    path("trace/scope.csv", console.scope_csv, name="scope_csv"),
]
