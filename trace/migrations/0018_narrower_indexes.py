import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class DropIndex(migrations.AlterField):
    """``db_index=False`` of a foreign key, without making SQLite copy a table of millions of rows for it. Its index is
    the beginning of another one, or is made again for the rows that have something in it, or nothing asks it.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = from_state.apps.get_model(app_label, self.model_name)
        column = model._meta.get_field(self.name).column
        names = schema_editor._constraint_names(model, [column], index=True, unique=False, primary_key=False)
        for name in names:
            schema_editor.execute(schema_editor._delete_index_sql(model, name))

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        schema_editor.execute(schema_editor._create_index_sql(model, fields=[model._meta.get_field(self.name)]))


class Migration(migrations.Migration):
    dependencies = [
        ("trace", "0017_epcis_master"),
    ]

    operations = [
        DropIndex(
            model_name="epcisname",
            name="alike",
            field=models.ForeignKey(
                db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="trace.lot"
            ),
        ),
        DropIndex(
            model_name="epcisname",
            name="lot",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="epcis_names",
                to="trace.lot",
            ),
        ),
        DropIndex(
            model_name="epcisname",
            name="parent",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="trace.epcisname",
            ),
        ),
        DropIndex(
            model_name="epcisname",
            name="party",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.organisation",
            ),
        ),
        DropIndex(
            model_name="epcisname",
            name="place",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.place",
            ),
        ),
        DropIndex(
            model_name="event",
            name="corrects",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="corrections",
                to="trace.event",
            ),
        ),
        DropIndex(
            model_name="event",
            name="counterparty",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.organisation",
            ),
        ),
        DropIndex(
            model_name="event",
            name="entered_by",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        DropIndex(
            model_name="event",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="events",
                to="trace.organisation",
            ),
        ),
        DropIndex(
            model_name="event",
            name="place",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="events",
                to="trace.place",
            ),
        ),
        DropIndex(
            model_name="event",
            name="remark",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.personalrecord",
            ),
        ),
        DropIndex(
            model_name="event",
            name="replaces",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="replacements",
                to="trace.event",
            ),
        ),
        DropIndex(
            model_name="eventitem",
            name="event",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="items", to="trace.event"
            ),
        ),
        DropIndex(
            model_name="eventitem",
            name="holder",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="trace.organisation"
            ),
        ),
        DropIndex(
            model_name="eventitem",
            name="lot",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="items",
                to="trace.lot",
            ),
        ),
        DropIndex(
            model_name="eventitem",
            name="place",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.place",
            ),
        ),
        DropIndex(
            model_name="eventitem",
            name="transfer",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.transfer",
            ),
        ),
        DropIndex(
            model_name="eventitem",
            name="unit",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="items",
                to="trace.unit",
            ),
        ),
        DropIndex(
            model_name="lot",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lots",
                to="trace.organisation",
            ),
        ),
        DropIndex(
            model_name="lot",
            name="origin_place",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.place",
            ),
        ),
        DropIndex(
            model_name="lot",
            name="product",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="lots", to="trace.product"
            ),
        ),
        DropIndex(
            model_name="lot",
            name="released_by",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lots_released",
                to="trace.event",
            ),
        ),
        DropIndex(
            model_name="lot",
            name="voided_by",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lots_voided",
                to="trace.event",
            ),
        ),
        DropIndex(
            model_name="lotlink",
            name="child",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="links_up", to="trace.lot"
            ),
        ),
        DropIndex(
            model_name="lotlink",
            name="event",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="links", to="trace.event"
            ),
        ),
        DropIndex(
            model_name="lotlink",
            name="parent",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="links_down", to="trace.lot"
            ),
        ),
        DropIndex(
            model_name="lotlink",
            name="voided_by",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trace.event",
            ),
        ),
        DropIndex(
            model_name="stock",
            name="lot",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="stocks", to="trace.lot"
            ),
        ),
        DropIndex(
            model_name="stock",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="stocks",
                to="trace.organisation",
            ),
        ),
        DropIndex(
            model_name="stock",
            name="place",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="stocks",
                to="trace.place",
            ),
        ),
        DropIndex(
            model_name="transfer",
            name="lot",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="transfers", to="trace.lot"
            ),
        ),
        DropIndex(
            model_name="transfer",
            name="receiver",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="trace.organisation"
            ),
        ),
        DropIndex(
            model_name="transfer",
            name="shipment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="transfers",
                to="trace.shipment",
            ),
        ),
        migrations.AddIndex(
            model_name="epcisname",
            index=models.Index(condition=models.Q(("lot__isnull", False)), fields=["lot"], name="epcis_names_by_lot"),
        ),
        migrations.AddIndex(
            model_name="epcisname",
            index=models.Index(
                condition=models.Q(("alike__isnull", False)), fields=["alike"], name="epcis_names_by_alike"
            ),
        ),
        migrations.AddIndex(
            model_name="epcisname",
            index=models.Index(
                condition=models.Q(("parent__isnull", False)), fields=["parent"], name="epcis_names_by_parent"
            ),
        ),
        migrations.AddIndex(
            model_name="epcisname",
            index=models.Index(
                condition=models.Q(("party__isnull", False)), fields=["party"], name="epcis_names_by_party"
            ),
        ),
        migrations.AddIndex(
            model_name="epcisname",
            index=models.Index(
                condition=models.Q(("place__isnull", False)), fields=["place"], name="epcis_names_by_place"
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("entered_by__isnull", False)), fields=["entered_by"], name="events_by_entered_by"
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(condition=models.Q(("place__isnull", False)), fields=["place"], name="events_by_place"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("counterparty__isnull", False)),
                fields=["counterparty"],
                name="events_by_counterparty",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("replaces__isnull", False)), fields=["replaces"], name="events_by_replaces"
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("remark__isnull", False)), fields=["remark"], name="events_by_remark"
            ),
        ),
        migrations.AddIndex(
            model_name="eventitem",
            index=models.Index(condition=models.Q(("unit__isnull", False)), fields=["unit"], name="items_by_unit"),
        ),
        migrations.AddIndex(
            model_name="eventitem",
            index=models.Index(
                condition=models.Q(("transfer__isnull", False)), fields=["transfer"], name="items_by_transfer"
            ),
        ),
        migrations.AddIndex(
            model_name="lot",
            index=models.Index(
                condition=models.Q(("origin_place__isnull", False)),
                fields=["origin_place"],
                name="lots_by_origin_place",
            ),
        ),
        migrations.AddIndex(
            model_name="lot",
            index=models.Index(
                condition=models.Q(("released_by__isnull", False)), fields=["released_by"], name="lots_by_released_by"
            ),
        ),
        migrations.AddIndex(
            model_name="lot",
            index=models.Index(
                condition=models.Q(("voided_by__isnull", False)), fields=["voided_by"], name="lots_by_voided_by"
            ),
        ),
        migrations.AddIndex(
            model_name="lotlink",
            index=models.Index(
                condition=models.Q(("voided_by__isnull", False)), fields=["voided_by"], name="links_by_voided_by"
            ),
        ),
        migrations.AddIndex(
            model_name="stock",
            index=models.Index(condition=models.Q(("place__isnull", False)), fields=["place"], name="stock_by_place"),
        ),
    ]
