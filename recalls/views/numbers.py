"""The numbers of a campaign as pages show them."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from recalls.figures import Amounts, CampaignFigures
from trace.parts import Number, Share
from trace.units import format_amount, unit_name


def amount_shares(numbers: CampaignFigures) -> list[tuple[str, list[Share]]]:
    """Per unit: what became of what was made and not turned into other lots."""
    found: list[tuple[str, list[Share]]] = []
    for unit, sums in numbers.totals.items():
        parts = [
            (_("已销毁处理"), sums.destroyed, "good"),
            *([(_("更正后放行"), sums.released, "good")] if sums.released else []),
            (_("封存在库"), sums.on_hand, "hold"),
            (_("已售出未收回"), sums.sold, "attention"),
            *([(_("抽样"), sums.samples, "mute")] if sums.samples else []),
            *([(_("损耗"), sums.loss, "mute")] if sums.loss else []),
            (_("去向不明"), sums.unknown, "mute"),
        ]
        found.append((unit_name(unit), [Share(label, n, tone, format_amount(n, unit)) for label, n, tone in parts]))
    return found


def number_labels(numbers: CampaignFigures, sums: Iterable[Amounts] | None = None) -> list[tuple[str, str]]:
    """The columns of the numbers, in the reader's language; of ``sums`` only those of which there is something, where
    most recalls have nothing: used in other lots, put right and released. What passed through a trader was not made.
    """
    passed = len(numbers.parties)
    made = _("生产") if not passed else _("经手") if passed == len(numbers.lots) else _("生产或经手")
    columns = [
        ("made", made),
        ("used", _("用于其他批次")),
        ("shipped", _("发出")),
        ("recovered", _("收回")),
        ("destroyed", _("销毁处理")),
        ("released", _("更正后放行")),
        ("on_hand", _("封存在库")),
        ("sold", _("已售出未收回")),
        ("samples", _("抽样")),
        ("loss", _("损耗")),
        ("unknown", _("去向不明")),
    ]
    if sums is None:
        return columns
    found = list(sums)
    rare = ("used", "released", "samples", "loss")
    return [one for one in columns if one[0] not in rare or any(getattr(each, one[0]) for each in found)]


def number_tiles(numbers: CampaignFigures) -> list[tuple[str, list[Number]]]:
    """The closing numbers per unit as tiles."""
    return [
        (
            unit_name(unit),
            [
                Number(
                    label,
                    format_amount(getattr(sums, key), unit),
                    tone="attention" if key == "unknown" and sums.unknown else "",
                )
                for key, label in number_labels(numbers, [sums])
            ],
        )
        for unit, sums in numbers.totals.items()
    ]
