"""Pages of the labels app: what is scanned, and the producer's runs of codes."""

from django.urls import path

from labels.views import commitments, runs, scan

app_name = "labels"

urlpatterns = [
    path("01/<path:rest>", scan.digital_link, name="digital_link"),
    path("c/<path:code>", scan.code, name="code"),
    path("scan", scan.search, name="search"),
    path("scan/count", scan.count, name="count"),
    path("scan/report", scan.report, name="report"),
    path("scan/report/<str:code>", scan.report, name="report"),
    path("labels/", runs.run_list, name="run_list"),
    path("labels/new/", runs.choose_product, name="run_new"),
    path("labels/new/product/<str:uid>/", runs.choose_lot, name="choose_lot"),
    path("labels/new/lot/<str:uid>/", runs.order, name="order"),
    path("labels/commitments/<uuid:lot_uid>/", commitments.commitments, name="commitments"),
    path("labels/commitments/<uuid:lot_uid>/<uuid:uid>/", commitments.commitment, name="commitment"),
    path("labels/commitments/<uuid:lot_uid>/<uuid:uid>.pdf", commitments.commitment_pdf, name="commitment_pdf"),
    path("labels/<str:uid>/", runs.run_detail, name="run"),
    path("labels/<str:uid>/label.svg", runs.label_svg, name="label_svg"),
    path("labels/<str:uid>/print/", runs.print_run, name="print"),
    path("labels/<str:uid>/codes/", runs.run_codes, name="run_codes"),
    path("labels/<str:uid>/codes.csv", runs.codes_csv, name="codes_csv"),
    path("labels/<str:uid>/code.svg", runs.code_svg, name="code_svg"),
    path("labels/<str:uid>/code.png", runs.code_png, name="code_png"),
    path("labels/<str:uid>/exceptions/", runs.except_codes, name="except_codes"),
    path("labels/<str:uid>/void/", runs.void, name="void"),
]
