"""Pages of the trace app: one list per subject, easy to append to."""

from django.urls import URLPattern, path, re_path

from trace.views import (
    account,
    chasing,
    conflicts,
    corrections,
    crossing,
    epcis,
    epcis_page,
    event_table,
    events,
    field,
    field_review,
    files,
    genealogy,
    holds,
    imports,
    lots,
    organisations,
    outsiders,
    packs,
    people,
    registry,
    reports,
    shipments,
    slips,
    stability,
    standards,
    steps,
)

app_name = "trace"

account_urls: list[URLPattern] = [
    path("sign-in/", account.sign_in, name="sign_in"),
    path("sign-out/", account.sign_out, name="sign_out"),
    path("join/<str:token>/", account.invitation, name="invitation"),
    path("account/", account.account, name="account"),
    path("account/password/", account.password, name="password"),
    path("account/switch/", account.switch, name="switch"),
]

organisation_urls: list[URLPattern] = [
    path("apply/", organisations.application_new, name="application_new"),
    path("organisation/", organisations.organisation, name="organisation"),
    path("organisation/edit/", organisations.organisation_edit, name="organisation_edit"),
    path("organisation/contact/", organisations.organisation_contact, name="organisation_contact"),
    path("organisation/apply-again/", organisations.application_again, name="application_again"),
    path("organisation/licences/new/", organisations.licence_new, name="licence_new"),
    path("organisation/licences/<uuid:uid>/end/", organisations.licence_end, name="licence_end"),
    path("growers/", organisations.grower_list, name="grower_list"),
    path("growers/new/", organisations.grower_new, name="grower_new"),
    path("growers/<uuid:uid>/card/", organisations.grower_card, name="grower_card"),
    path("growers/<uuid:uid>/enter/", organisations.behalf_start, name="behalf_start"),
    path("growers/leave/", organisations.behalf_end, name="behalf_end"),
    path("applications/", organisations.application_list, name="application_list"),
    path("organisations/", organisations.supervised_list, name="supervised_list"),
    path("organisations/<uuid:uid>/", organisations.supervised, name="supervised"),
    path("organisations/<uuid:uid>/decide/", organisations.decide, name="decide"),
    path("operator/", organisations.operator_list, name="operator_list"),
    path("operator/regulators/new/", organisations.regulator_new, name="regulator_new"),
    path("operator/organisations/<uuid:uid>/", organisations.operator_organisation, name="operator_organisation"),
    path("operator/members/<uuid:uid>/password/", organisations.operator_password, name="operator_password"),
]

people_urls: list[URLPattern] = [
    path("members/", people.member_list, name="member_list"),
    path("members/invite/", people.member_invite, name="member_invite"),
    path("members/<uuid:uid>/", people.member, name="member"),
    path("members/<uuid:uid>/end/", people.member_end, name="member_end"),
    path("members/<uuid:uid>/password/", people.member_password, name="member_password"),
    path("invitations/<uuid:uid>/revoke/", people.invitation_revoke, name="invitation_revoke"),
    path("keys/", people.key_list, name="key_list"),
    path("keys/new/", people.key_new, name="key_new"),
    path("keys/<uuid:uid>/revoke/", people.key_revoke, name="key_revoke"),
]

registry_urls: list[URLPattern] = [
    path("places/", registry.place_list, name="place_list"),
    path("places/new/", registry.place_new, name="place_new"),
    path("places/<uuid:uid>/", registry.place, name="place"),
    path("places/<uuid:uid>/edit/", registry.place_edit, name="place_edit"),
    path("places/<uuid:uid>/end/", registry.place_end, name="place_end"),
    path("places/<uuid:uid>/reopen/", registry.place_reopen, name="place_reopen"),
    path("products/", registry.product_list, name="product_list"),
    path("products/new/", registry.product_new, name="product_new"),
    path("products/<uuid:uid>/", registry.product, name="product"),
    path("products/<uuid:uid>/edit/", registry.product_edit, name="product_edit"),
    path("products/<uuid:uid>/material/", registry.product_material, name="product_material"),
    path("products/<uuid:uid>/gtin/", registry.product_gtin, name="product_gtin"),
    path("products/<uuid:uid>/end/", registry.product_end, name="product_end"),
    path("products/<uuid:uid>/reopen/", registry.product_reopen, name="product_reopen"),
    path("products/<uuid:uid>/limits/", standards.product_limits, name="product_limits"),
    path("products/<uuid:uid>/stability/", stability.product_stability, name="product_stability"),
    path("products/<uuid:uid>/stability.csv", stability.stability_csv, name="stability_csv"),
    path("standards/", standards.standard_list, name="standard_list"),
    path("standards/<slug:key>/", standards.standard, name="standard"),
    path("standards/<slug:key>/dates/", standards.standard_dates, name="standard_dates"),
    path("standards/<slug:key>/next/", standards.edition_new, name="edition_new"),
    path("standards/<slug:key>/limits/new/", standards.limit_new, name="limit_new"),
    path("standards/<slug:key>/limits/<int:number>/", standards.limit_edit, name="limit_edit"),
    path("gtin-claims/", registry.gtin_claim_list, name="gtin_claim_list"),
    path("gtin-claims/<uuid:uid>/decide/", registry.gtin_claim_decide, name="gtin_claim_decide"),
    path("certificates/", registry.certificate_list, name="certificate_list"),
    path("certificates/new/", registry.certificate_new, name="certificate_new"),
    path("certificates/<uuid:uid>/revoke/", registry.certificate_revoke, name="certificate_revoke"),
]

shipment_urls: list[URLPattern] = [
    path("shipments/", shipments.transfer_list, name="transfer_list"),
    path("shipments/inbox/", shipments.inbox, name="inbox"),
    path("shipments/new/", shipments.shipment_new, name="shipment_new"),
    path("shipments/new/<uuid:uid>/", shipments.shipment_goods, name="shipment_goods"),
    path("shipments/intake/", shipments.intake_new, name="intake_new"),
    path("shipments/intake/<uuid:uid>/", shipments.intake, name="intake"),
    path("shipments/returns/", shipments.return_new, name="return_new"),
    path("shipments/returns/<uuid:uid>/", shipments.return_goods, name="return_goods"),
    path("shipments/chase/", chasing.chase_list, name="chase_list"),
    path("shipments/<uuid:uid>/remind/", chasing.shipment_remind, name="shipment_remind"),
    path("shipments/<uuid:uid>/difference/", chasing.difference, name="difference"),
    path("shipments/<uuid:uid>/", shipments.shipment, name="shipment"),
    path("shipments/<uuid:uid>/slip/", shipments.slip_print, name="slip_print"),
    path("shipments/<uuid:uid>/receive/", shipments.receive, name="receive"),
    path("s/<str:token>", slips.slip, name="slip"),
]

crossing_urls: list[URLPattern] = [
    path("lots/opening/", crossing.opening_new, name="opening_new"),
    path("lots/<uuid:uid>/events/", event_table.lot_events, name="lot_events"),
    path("lots/<uuid:uid>/codes/", crossing.lot_codes, name="lot_codes"),
    path("lots/<uuid:uid>/join/", crossing.lot_join, name="lot_join"),
    path("claims/", crossing.claim_list, name="claim_list"),
    path("claims/<uuid:uid>/", crossing.claim_detail, name="claim_detail"),
    path("outsiders/", outsiders.outsider_list, name="outsider_list"),
    path("outsiders/<uuid:uid>/", outsiders.outsider, name="outsider"),
    path("outsiders/<uuid:uid>/edit/", outsiders.outsider_edit, name="outsider_edit"),
    path("outsiders/<uuid:uid>/link/", outsiders.outsider_link, name="outsider_link"),
    path("outsiders/<uuid:uid>/unlink/", outsiders.outsider_unlink, name="outsider_unlink"),
]

_COLLECTIONS = "eventTypes|epcs|bizSteps|bizLocations|readPoints|dispositions"
epcis_urls: list[URLPattern] = [
    path("epcis/", epcis.root, name="epcis_root"),
    path("epcis/capture", epcis.capture, name="epcis_capture"),
    path("epcis/capture/<str:uid>", epcis.capture_job, name="epcis_job"),
    path("epcis/events", epcis.events, name="epcis_events"),
    path("epcis/queries", epcis.queries, name="epcis_queries"),
    path("epcis/queries/<str:name>", epcis.query, name="epcis_query"),
    path("epcis/queries/<str:name>/events", epcis.query_events, name="epcis_query_events"),
    path("epcis/queries/<str:name>/subscriptions", epcis.subscriptions, name="epcis_subscriptions"),
    path("epcis/queries/<str:name>/subscriptions/<str:uid>", epcis.subscription, name="epcis_subscription"),
    path("epcis/nextPageToken/<str:token>", epcis.page_token, name="epcis_page_token"),
    # Identifiers stand in paths as they are: with slashes (a server undoes %2F before we see it).
    re_path(rf"^epcis/(?P<collection>{_COLLECTIONS})$", epcis.collection, name="epcis_collection"),
    re_path(
        rf"^epcis/(?P<collection>{_COLLECTIONS})/(?P<value>.+)/events$", epcis.member_events, name="epcis_member_events"
    ),
    re_path(rf"^epcis/(?P<collection>{_COLLECTIONS})/(?P<value>.+)$", epcis.member, name="epcis_member"),
    re_path(r"^epcis/events/(?P<eid>.+)$", epcis.event, name="epcis_event"),
    re_path(r"^epcis/(?P<rest>.*)$", epcis.nothing, name="epcis_nothing"),
]

pack_urls: list[URLPattern] = [
    path("packs/", packs.pack_list, name="pack_list"),
    path("packs/new/", packs.pack_new, name="pack_new"),
    path("packs/check/", packs.pack_check, name="pack_check"),
    path("packs/prefix/", packs.pack_prefix, name="pack_prefix"),
    path("packs/numbers/", packs.pack_numbers, name="pack_numbers"),
    path("packs/labels/", packs.pack_labels, name="pack_labels"),
    path("packs/ship/<uuid:uid>/", packs.pack_ship, name="pack_ship"),
    path("packs/receive/<uuid:uid>/", packs.pack_receive, name="pack_receive"),
    path("packs/return/<uuid:uid>/", packs.pack_return, name="pack_return"),
    path("packs/<str:code>/", packs.pack, name="pack"),
    path("packs/<str:code>/unpack/", packs.pack_open, name="pack_open"),
    path("packs/<str:code>/replace/", packs.pack_replace, name="pack_replace"),
    path("00/<str:code>", packs.pack, name="sscc"),
]

genealogy_urls: list[URLPattern] = [
    path("trace/", genealogy.console, name="console"),
    path("trace.csv", genealogy.console_csv, name="console_csv"),
]

step_urls: list[URLPattern] = [
    path("lots/", lots.lot_list, name="lot_list"),
    path("lots/new/", steps.lot_new, name="lot_new"),
    path("steps/", steps.event_new, name="event_new"),
    path("steps/<str:code>/", steps.step_form, name="step_form"),
    path("events/", events.event_list, name="event_list"),
    path("events/<uuid:uid>/", events.event_detail, name="event_detail"),
    path("events/<uuid:uid>/correct/", corrections.event_correct, name="event_correct"),
    path("reports/", reports.report_list, name="report_list"),
    path("reports/new/", reports.report_new, name="report_new"),
    path("reports/named/", reports.named_list, name="report_named"),
    path("reports/contradictions/", reports.contradiction_list, name="report_contradictions"),
    path("reports/<uuid:uid>/", reports.report_detail, name="report_detail"),
    path("reports/<uuid:uid>/answer/", reports.report_answer, name="report_answer"),
    path("holds/", holds.hold_list, name="hold_list"),
    path("holds/<uuid:uid>/", holds.hold_detail, name="hold_detail"),
    path("holds/<uuid:uid>/end/", holds.hold_end, name="hold_end"),
    path("conflicts/", conflicts.conflict_list, name="conflict_list"),
    path("conflicts/<uuid:uid>/", conflicts.conflict_detail, name="conflict_detail"),
    path("files/<uuid:uid>/", files.file_detail, name="file_detail"),
]

field_urls: list[URLPattern] = [
    path("field/", field.shell, name="field"),
    path("field/worker.js", field.worker, name="field_worker"),
    path("field/manifest.webmanifest", field.manifest, name="field_manifest"),
    path("field/session.json", field.session, name="field_session"),
    path("field/data.json", field.data, name="field_data"),
    path("field/devices/", field.device_new, name="field_device"),
    path("field/files/", field.file_new, name="field_file"),
    path("field/entries/", field.entries, name="field_entries"),
    path("members/devices/", field_review.device_list, name="device_list"),
    path("members/devices/<uuid:uid>/revoke/", field_review.device_revoke, name="device_revoke"),
    path("members/entries/<uuid:uid>/", field_review.entry_review, name="entry_review"),
]

epcis_page_urls: list[URLPattern] = [
    path("exchange/", epcis_page.epcis_list, name="epcis_list"),
    path("exchange/<uuid:uid>/", epcis_page.epcis_document, name="epcis_document"),
]

import_urls: list[URLPattern] = [
    path("imports/", imports.import_list, name="import_list"),
    path("imports/steps/", imports.import_steps, name="import_steps"),
    path("imports/new/<str:kind>/", imports.import_new, name="import_new"),
    path("imports/new/<str:kind>/template/", imports.import_template, name="import_template"),
    path("imports/<uuid:uid>/", imports.import_detail, name="import_detail"),
    path("imports/<uuid:uid>/confirm/", imports.import_confirm, name="import_confirm"),
    path("imports/<uuid:uid>/drop/", imports.import_drop, name="import_drop"),
    path("imports/<uuid:uid>/errors.xlsx", imports.import_errors, name="import_errors"),
]

urlpatterns: list[URLPattern] = [
    *account_urls,
    *organisation_urls,
    *people_urls,
    *registry_urls,
    *shipment_urls,
    *epcis_urls,
    *pack_urls,
    *crossing_urls,
    *genealogy_urls,
    *step_urls,
    *field_urls,
    *import_urls,
    *epcis_page_urls,
]
