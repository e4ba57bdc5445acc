"""Pages of the labels app: what is scanned, and the producer's runs of codes."""

from django.urls import path, re_path

from labels.views import commitments, info, links, posters, resolver, runs, scan, suspicions

app_name = "labels"

urlpatterns = [
    path("01/<path:rest>", resolver.digital_link, name="digital_link"),
    # What holds a line break does not match a path of Django's; it is bad syntax like any other.
    re_path(r"^01/(?P<rest>[\s\S]+)\Z", resolver.digital_link),
    path("c/<path:code>", resolver.code, name="code"),
    re_path(rf"^(?P<key>{'|'.join(resolver.OTHER_KEYS)})/(?P<rest>[\s\S]+)\Z", resolver.other_key, name="other_key"),
    # A compressed Digital Link is one segment of base64url; no page of ours has such a name.
    re_path(r"^(?P<text>(?=[^/]*[A-Z])(?=[^/]*[0-9])[A-Za-z0-9_-]{16,})$", resolver.compressed, name="compressed"),
    path(".well-known/gs1resolver", resolver.description, name="gs1resolver"),
    path("info/<str:kind>/<path:path>", info.document, name="info"),
    path("scan", scan.search, name="search"),
    path("scan/count", scan.count, name="count"),
    path("scan/check", scan.check, name="check"),
    path("scan/report", scan.report, name="report"),
    path("scan/report/<str:code>", scan.report, name="report"),
    path("recalls/<str:ref>/poster.pdf", posters.poster, name="poster"),
    path("labels/", runs.run_list, name="run_list"),
    path("labels/scans/", suspicions.suspicion_list, name="suspicion_list"),
    path("labels/scans/regions/", suspicions.elsewhere, name="elsewhere_scans"),
    path("labels/scans/thresholds/", suspicions.threshold_list, name="threshold_list"),
    path("labels/scans/<str:uid>/", suspicions.suspicion, name="suspicion"),
    path("labels/new/", runs.choose_product, name="run_new"),
    path("labels/new/product/<str:uid>/", runs.choose_lot, name="choose_lot"),
    path("labels/new/lot/<str:uid>/", runs.order, name="order"),
    path("labels/links/", links.link_list, name="link_list"),
    path("labels/links/<uuid:uid>/", links.product_links, name="product_links"),
    path("labels/links/<uuid:uid>/<uuid:link_uid>/end/", links.end, name="link_end"),
    path("labels/commitments/<uuid:lot_uid>/", commitments.commitments, name="commitments"),
    path("labels/commitments/<uuid:lot_uid>/<uuid:uid>/", commitments.commitment, name="commitment"),
    path("labels/commitments/<uuid:lot_uid>/<uuid:uid>.pdf", commitments.commitment_pdf, name="commitment_pdf"),
    path("labels/<str:uid>/", runs.run_detail, name="run"),
    path("labels/<str:uid>/label.svg", runs.label_svg, name="label_svg"),
    path("labels/<str:uid>/print/", runs.print_run, name="print"),
    path("labels/<str:uid>/codes/", runs.run_codes, name="run_codes"),
    path("labels/<str:uid>/codes.csv", runs.codes_csv, name="codes_csv"),
    path("labels/<str:uid>/code.svg", runs.code_svg, name="code_svg"),
    path("labels/<str:uid>/label.png", runs.label_png, name="label_png"),
    path("labels/<str:uid>/code.png", runs.code_png, name="code_png"),
    path("labels/<str:uid>/exceptions/", runs.except_codes, name="except_codes"),
    path("labels/<str:uid>/void/", runs.void, name="void"),
    path("labels/<str:uid>/go-on/", runs.resume, name="resume"),
    path("labels/<str:uid>/destroy-checks/", runs.destroy_checks, name="destroy_checks"),
    path("labels/<str:uid>/files/", runs.make_file, name="make_file"),
    path("labels/<str:uid>/files/<str:file_uid>/", runs.file_detail, name="file"),
    path("labels/<str:uid>/files/<str:file_uid>/<int:number>", runs.file_part, name="file_part"),
]
