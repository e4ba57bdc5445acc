"""Forms of the registry: places, products and their versions, GTINs, certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.actions.registry import (
    PLACE_FACTS,
    SHELF_LIFE_MAX_DAYS,
    VERSION_TEXTS,
    CertificateInput,
    PlaceInput,
    ProductInput,
    VersionInput,
)
from trace.composition import materials
from trace.event_templates import families
from trace.forms.fields import Code, Day, DivisionField, Pick, Text, Whole
from trace.identifiers import normalise_gln, normalise_gtin, normalise_uscc
from trace.models import Certificate, Licence, Organisation, Place, Product, ProductVersion, Standard
from trace.units import BaseUnit, unit_name

PACK_ROWS = 4
_STANDARD_KINDS = {
    "national_mandatory": gettext_lazy("强制性国家标准"),
    "national_recommended": gettext_lazy("推荐性国家标准"),
    "industry_recommended": gettext_lazy("行业标准"),
    "association": gettext_lazy("团体标准"),
    "gi_notice": gettext_lazy("地理标志公告"),
}


class PlaceForm(forms.Form):
    """A place; which facts it asks for depends on the kind chosen before."""

    name = Text(label=gettext_lazy("名称"), max_length=80, help_text=gettext_lazy("例如 一号酒库、坡头东地块"))
    name_en = Text(label=gettext_lazy("英文名称"), max_length=120, required=False)
    division = DivisionField(label=gettext_lazy("所在地"))
    address = Text(label=gettext_lazy("地址"), max_length=200, required=False)
    gln = Code(
        normalise_gln,
        label=gettext_lazy("全球位置码（GLN）"),
        required=False,
        help_text=gettext_lazy("13 位数字。没有就留空。"),
    )

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind
        self.facts = {f"fact_{key}": key for key in PLACE_FACTS.get(kind, {})}
        for field, key in self.facts.items():
            self.fields[field] = Text(label=PLACE_FACTS[kind][key], max_length=60, required=False)

    def place(self) -> PlaceInput:
        """What the action takes."""
        data = dict(self.cleaned_data)
        facts = {key: data.pop(field) for field, key in self.facts.items()}
        return PlaceInput(kind=self.kind, facts=facts, **data)

    @staticmethod
    def initial_of(place: Place) -> dict[str, Any]:
        """The form's values for a place there is."""
        facts = {f"fact_{key}": value for key, value in place.facts.items()}
        return {name: getattr(place, name) for name in ("name", "name_en", "division", "address", "gln")} | facts


@dataclass(frozen=True)
class PackRow:
    """One row of the pack table on a page: the name's and the size's bound fields."""

    name: forms.BoundField
    size: forms.BoundField


class VersionForm(forms.Form):
    """What a product says of itself."""

    name = Text(label=gettext_lazy("品名"), max_length=VERSION_TEXTS["name"])
    name_en = Text(label=gettext_lazy("英文品名"), max_length=VERSION_TEXTS["name_en"], required=False)
    brand = Text(label=gettext_lazy("商标"), max_length=VERSION_TEXTS["brand"], required=False)
    spec = Text(
        label=gettext_lazy("规格"),
        max_length=VERSION_TEXTS["spec"],
        required=False,
        help_text=gettext_lazy("例如 500 mL × 6"),
    )
    net_content = Text(label=gettext_lazy("净含量"), max_length=VERSION_TEXTS["net_content"], required=False)
    grade = Text(label=gettext_lazy("质量等级"), max_length=VERSION_TEXTS["grade"], required=False)
    ingredients = Text(
        label=gettext_lazy("配料"), max_length=VERSION_TEXTS["ingredients"], multiline=True, required=False
    )
    shelf_life_days = Whole(
        label=gettext_lazy("保质期"),
        least=1,
        most=SHELF_LIFE_MAX_DAYS,
        required=False,
        help_text=gettext_lazy("依法可不标的（如 10 度以上的酒）留空。"),
    )
    storage = Text(label=gettext_lazy("贮存条件"), max_length=VERSION_TEXTS["storage"], required=False)
    warning = Text(
        label=gettext_lazy("警示语"),
        max_length=VERSION_TEXTS["warning"],
        required=False,
        help_text=gettext_lazy("例如 过量饮酒有害健康"),
    )
    standard = Pick(
        label=gettext_lazy("执行标准"),
        required=False,
        help_text=gettext_lazy("选版本（年号）与标签一致的那一项。"),
    )
    standard_text = Text(
        label=gettext_lazy("企业标准"),
        max_length=VERSION_TEXTS["standard_text"],
        required=False,
        help_text=gettext_lazy("执行企业标准的，填编号和名称；上面就不选。"),
    )
    licence_number = Pick(label=gettext_lazy("生产许可证编号"), required=False)
    pledge = Text(
        label=gettext_lazy("质量承诺"),
        max_length=VERSION_TEXTS["pledge"],
        multiline=True,
        required=False,
        help_text=gettext_lazy("会公开显示，并注明是本单位自行声明。"),
    )
    gi_claim = Text(
        label=gettext_lazy("地理标志声明"),
        max_length=VERSION_TEXTS["gi_claim"],
        required=False,
        help_text=gettext_lazy("例如 汾州核桃。没有有效的用标证书时，页面会写明只是自行声明。"),
    )

    def __init__(self, *args: Any, organisation: Organisation, base_unit: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (
            ("standard", standard_choices()),
            ("licence_number", licence_choices(organisation, self.initial.get("licence_number", ""))),
        ):
            field = self.fields[name]
            assert isinstance(field, Pick)  # noqa: S101  (tells the type checker)
            field.choices = choices
        self.fields["shelf_life_days"].unit = _("天")  # type: ignore[attr-defined]
        for row in range(PACK_ROWS):
            self.fields[f"pack_name_{row}"] = Text(label=_("包装名称"), max_length=10, required=False)
            self.fields[f"pack_size_{row}"] = Text(
                label=_("每件合 %(unit)s") % {"unit": unit_name(base_unit)} if base_unit else _("每件合多少计量单位"),
                max_length=40,
                required=False,
            )

    def pack_rows(self) -> list[PackRow]:
        """The pack table for the page."""
        return [PackRow(self[f"pack_name_{row}"], self[f"pack_size_{row}"]) for row in range(PACK_ROWS)]

    def pack_errors(self) -> dict[str, str]:
        """The action's names of packs and the form's rows."""
        filled = [row for row in range(PACK_ROWS) if self.cleaned_data.get(f"pack_name_{row}")]
        return {f"packs.{number}": f"pack_size_{row}" for number, row in enumerate(filled)}

    def clean(self) -> dict[str, Any]:
        """A pack has both a name and a size, and each name stands once."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        seen: set[str] = set()
        for row in range(PACK_ROWS):
            name, size = data.get(f"pack_name_{row}"), data.get(f"pack_size_{row}")
            if size and name == "":
                self.add_error(f"pack_name_{row}", forms.ValidationError(_("请填包装名称。"), code="required"))
            if name and size == "":
                self.add_error(f"pack_size_{row}", forms.ValidationError(_("请填每件合多少。"), code="required"))
            if name and name in seen:
                self.add_error(
                    f"pack_name_{row}", forms.ValidationError(_("这个包装名称填了两次。"), code="pack_twice")
                )
            seen.add(name or "")
        return data

    def version(self) -> VersionInput:
        """What the action takes."""
        data = self.cleaned_data
        texts = {name: data[name] for name in VERSION_TEXTS}
        packs = {
            data[f"pack_name_{row}"]: data[f"pack_size_{row}"] for row in range(PACK_ROWS) if data[f"pack_name_{row}"]
        }
        return VersionInput(
            **texts,
            standard=Standard.objects.get(pk=data["standard"]) if data["standard"] else None,
            licence_number=data["licence_number"],
            shelf_life_days=data["shelf_life_days"],
            packs=packs,
        )

    @staticmethod
    def initial_of(version: ProductVersion) -> dict[str, Any]:
        """The form's values for a version there is."""
        values: dict[str, Any] = {name: getattr(version, name) for name in VERSION_TEXTS}
        for row, (name, size) in enumerate(list(version.packs.items())[:PACK_ROWS]):
            values |= {f"pack_name_{row}": name, f"pack_size_{row}": size}
        return values | {
            "standard": version.standard_id or "",
            "licence_number": version.licence_number,
            "shelf_life_days": version.shelf_life_days,
        }


class ProductForm(VersionForm):
    """A new product: what stays for life, and its first version."""

    code = Text(label=gettext_lazy("内部编号"), max_length=20, help_text=gettext_lazy("本单位自己的货号，例如 BJ-500"))
    track = Pick(
        label=gettext_lazy("适用类别"),
        choices=Product.Track.choices,
        widget=forms.RadioSelect,
        help_text=gettext_lazy("决定召回适用哪部法规，以后不能改。"),
    )
    kind = Pick(label=gettext_lazy("类型"), choices=Product.Kind.choices, initial=Product.Kind.FINISHED)
    base_unit = Pick(
        label=gettext_lazy("计量单位"),
        choices=lambda: [("", _("请选择")), *((unit.value, unit_name(unit.value)) for unit in BaseUnit)],
        help_text=gettext_lazy("数量一律按它计算，以后不能改。瓶、箱等在下面“包装”里填。"),
    )
    family = Pick(label=gettext_lazy("品类"), choices=lambda: family_choices(), required=False)
    material = Pick(
        label=gettext_lazy("是什么"),
        choices=lambda: material_choices(),
        required=False,
        help_text=gettext_lazy(
            "有的标准不允许来源里有某些东西，例如清香型白酒里的食用酒精和甜味剂；水也请注明，酒龄才算得出。"
        ),
    )
    gtin = Code(
        normalise_gtin,
        label=gettext_lazy("商品条码（GTIN）"),
        required=False,
        help_text=gettext_lazy("包装上条码下方的 8、12、13 或 14 位数字。没有就留空，不要编造；确认后才能印在标签上。"),
    )

    def product(self) -> ProductInput:
        """What the action takes."""
        return ProductInput(**{name: self.cleaned_data[name] for name in _FOR_LIFE})


def harvest_initial(grower: Organisation) -> dict[str, Any]:
    """What most growers would answer: farm produce by the kilogram, under the next free code of their own."""
    number = Product.objects.filter(organisation=grower).count() + 1
    while Product.objects.filter(organisation=grower, code=f"CP-{number}").exists():
        number += 1
    return {
        "code": f"CP-{number}",
        "track": Product.Track.FARM,
        "kind": Product.Kind.RAW,
        "base_unit": BaseUnit.KGM.value,
    }


_FOR_LIFE = ("code", "track", "kind", "base_unit", "family", "material", "gtin")


def material_choices() -> list[tuple[str, str]]:
    """What a product can be said to be, in the reader's language; nothing said stands first."""
    return [("", _("不说明")), *((each.key, each.label()) for each in materials().values())]


class MaterialForm(forms.Form):
    """What a product is."""

    material = Pick(
        label=gettext_lazy("是什么"),
        choices=lambda: material_choices(),
        required=False,
        help_text=gettext_lazy("更改会公开记录。用它做成的、标准不允许有它的批次会立即记为矛盾，监管部门可见。"),
    )


class GtinForm(forms.Form):
    """Which GTIN a product carries."""

    gtin = Code(
        normalise_gtin,
        label=gettext_lazy("商品条码（GTIN）"),
        required=False,
        help_text=gettext_lazy("留空表示没有条码。"),
    )


class CertificateForm(forms.Form):
    """An authority enters a certificate it granted."""

    uscc = Code(normalise_uscc, label=gettext_lazy("持证单位的统一社会信用代码"))
    kind = Pick(label=gettext_lazy("证书类型"), choices=Certificate.Kind.choices, widget=forms.RadioSelect)
    number = Text(label=gettext_lazy("证书编号"), max_length=60)
    product_code = Text(
        label=gettext_lazy("产品内部编号"),
        max_length=20,
        required=False,
        help_text=gettext_lazy("只对一种产品有效时填写；对整个单位有效就留空。"),
    )
    valid_from = Day(label=gettext_lazy("有效期自"))
    valid_until = Day(label=gettext_lazy("有效期至"))

    def certificate(self, product: Product | None) -> CertificateInput:
        """What the action takes."""
        data = self.cleaned_data
        return CertificateInput(data["kind"], data["number"], data["valid_from"], data["valid_until"], product)


def standard_choices() -> list[tuple[Any, Any]]:
    """Editions a product can declare, by kind; methods, laws and guides are left out."""
    groups: dict[str, list[tuple[str, str]]] = {kind: [] for kind in _STANDARD_KINDS}
    for row in Standard.objects.filter(kind__in=list(groups)).order_by("number"):
        groups[row.kind].append((row.pk, str(row)))
    return [("", _("不选")), *((_STANDARD_KINDS[kind], rows) for kind, rows in groups.items() if rows)]


def licence_choices(organisation: Organisation, current: str) -> list[tuple[str, str]]:
    """The organisation's production licences, with the one a version already names."""
    numbers = Licence.objects.filter(organisation=organisation, kind=Licence.Kind.SC, ended_at=None)
    found = list(numbers.order_by("number").values_list("number", flat=True))
    if current and current not in found:
        found.append(current)
    return [("", _("不填")), *((number, number) for number in found)]


def family_choices() -> list[tuple[str, str]]:
    """Families of products: they decide which steps the forms offer first."""
    known = [(row.code, row.label()) for row in families().values() if row.code != "common"]
    return [("", _("其他")), *known]
