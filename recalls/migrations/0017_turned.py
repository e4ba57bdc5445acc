from typing import Any

from django.db import migrations, models


def name_what_turned(apps: Any, schema_editor: Any) -> None:
    """A change of the first round told that a withdrawal had become a recall; changes of the scope begin at the second."""
    messages = apps.get_model("recalls", "OutboxMessage").objects.using(schema_editor.connection.alias)
    messages.filter(kind="change", round=1).update(kind="turned")


class Migration(migrations.Migration):
    dependencies = [
        ("recalls", "0016_told_again"),
    ]

    operations = [
        migrations.AlterField(
            model_name="outboxmessage",
            name="kind",
            field=models.CharField(
                choices=[
                    ("notice", "召回通知"),
                    ("reminder", "催办"),
                    ("change", "范围变更"),
                    ("turned", "转为召回"),
                    ("end", "结束通知"),
                ],
                default="notice",
                max_length=10,
                verbose_name="内容",
            ),
        ),
        migrations.RunPython(name_what_turned, migrations.RunPython.noop),
    ]
