import django.db.models.deletion
from django.db import migrations, models


class DropIndex(migrations.AlterField):
    """``db_index=False`` of a foreign key, without making SQLite copy a table of millions of rows for it."""

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
        ("trace", "0014_epcis"),
    ]

    operations = [
        DropIndex(
            model_name="unit",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="units",
                to="trace.organisation",
            ),
        ),
        DropIndex(
            model_name="unit",
            name="run",
            field=models.UUIDField(null=True),
        ),
        migrations.AddIndex(
            model_name="unit",
            index=models.Index(fields=["run", "number"], name="units_by_run"),
        ),
    ]
