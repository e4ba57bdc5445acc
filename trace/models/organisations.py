"""Organisations, their licences, the places they work at, and the divisions of the state these lie in."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class Division(models.Model):
    """One administrative division by its code (GB/T 2260 and below); loaded from ``trace/data/places.csv``."""

    code = models.CharField(max_length=12, primary_key=True)
    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True)
    kind = models.CharField(max_length=30, blank=True)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    in_gi_walnut = models.CharField(max_length=8, blank=True)
    in_gi_millet = models.CharField(max_length=8, blank=True)

    class Meta:
        verbose_name = _("行政区划")
        verbose_name_plural = _("行政区划")

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The name in the reader's language."""
        if (get_language() or "").startswith("en") and self.name_en:
            return self.name_en
        return self.name


class OrganisationQuerySet(models.QuerySet["Organisation"]):
    """Chainable questions about organisations."""

    def vetted(self) -> OrganisationQuerySet:
        """Those a regulator has admitted."""
        return self.filter(status=Organisation.Status.ACTIVE)

    def in_territory(self, code: str) -> OrganisationQuerySet:
        """Those whose division lies in the territory (a prefix of the division code, trailing zero pairs left out)."""
        return self.filter(division__code__startswith=code)


class Organisation(models.Model):
    """One party of the chain (追溯参与方): producer, grower, shop, laboratory, regulator, or a named outsider.

    An *external* organisation is a buyer or supplier who does not use the system; ``kept_by`` wrote it down and says
    with ``registered_as`` under which name it joined later.
    """

    class Kind(models.TextChoices):
        PRODUCER = "producer", _("生产企业")
        GROWER = "grower", _("种植户")
        COOPERATIVE = "cooperative", _("合作社")
        DISTRIBUTOR = "distributor", _("经销商")
        CARRIER = "carrier", _("承运人")
        RETAILER = "retailer", _("零售商")
        LABORATORY = "laboratory", _("检验机构")
        REGULATOR = "regulator", _("监管部门")
        ASSOCIATION = "association", _("行业协会")

    class Status(models.TextChoices):
        APPLIED = "applied", _("待审核")
        ACTIVE = "active", _("已入驻")
        REFUSED = "refused", _("未通过")
        SUSPENDED = "suspended", _("已暂停")
        EXTERNAL = "external", _("系统外单位")

    class Level(models.TextChoices):
        NONE = "", _("无")
        COUNTY = "county", _("县级")
        PREFECTURE = "prefecture", _("市级")
        PROVINCE = "province", _("省级")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    name = models.CharField(_("名称"), max_length=120)
    name_en = models.CharField(_("英文名称"), max_length=160, blank=True)
    former_names = models.JSONField(default=list, blank=True)
    kind = models.CharField(_("类型"), max_length=12, choices=Kind)
    status = models.CharField(_("状态"), max_length=10, choices=Status, default=Status.APPLIED)
    uscc = models.CharField(_("统一社会信用代码"), max_length=18, null=True, blank=True)
    division = models.ForeignKey(Division, on_delete=models.PROTECT, related_name="organisations")
    address = models.CharField(_("地址"), max_length=200, blank=True)
    level = models.CharField(_("监管级别"), max_length=12, choices=Level, default=Level.NONE, blank=True)
    territory = models.CharField(_("辖区代码前缀"), max_length=12, blank=True)
    gs1_prefix = models.CharField(_("GS1 厂商识别代码"), max_length=12, blank=True)
    recall_contact_name = models.CharField(_("召回联系人"), max_length=60, blank=True)
    recall_contact_phone = models.CharField(_("召回电话"), max_length=40, blank=True)
    recall_contact_email = models.EmailField(_("召回邮箱"), blank=True)
    cooperative = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="growers", verbose_name=_("所属合作社")
    )
    kept_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="externals")
    registered_as = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="written_down_as"
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = OrganisationQuerySet.as_manager()

    class Meta:
        verbose_name = _("单位")
        verbose_name_plural = _("单位")
        constraints = [
            models.UniqueConstraint(
                fields=["uscc"], condition=~models.Q(status="external") & ~models.Q(status="refused"), name="one_uscc"
            ),
            models.UniqueConstraint(fields=["gs1_prefix"], condition=~models.Q(gs1_prefix=""), name="one_gs1_prefix"),
            models.CheckConstraint(
                condition=models.Q(status="external", kept_by__isnull=False) | ~models.Q(status="external"),
                name="external_is_kept_by_someone",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind="regulator") | (~models.Q(territory="") & ~models.Q(level="")),
                name="regulator_has_territory",
            ),
        ]
        indexes = [models.Index(fields=["kind", "status"])]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The name in the reader's language."""
        if (get_language() or "").startswith("en") and self.name_en:
            return self.name_en
        return self.name

    @property
    def is_external(self) -> bool:
        """Whether this party does not use the system itself."""
        return self.status == self.Status.EXTERNAL


class OrganisationStep(models.Model):
    """One step in the life of an organisation's admission: applied, admitted, refused, suspended. Append-only."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="steps")
    old = models.CharField(max_length=10, blank=True)
    new = models.CharField(max_length=10)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey(Organisation, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.organisation_id}: {self.old} → {self.new}"


class Licence(models.Model):
    """A licence an organisation says it holds, its number checked for form (SC: GB/T 17710 MOD 11,10; CMA: 12
    digits).
    """

    class Kind(models.TextChoices):
        SC = "sc", _("食品生产许可证")
        CMA = "cma", _("检验检测机构资质认定")
        OTHER = "other", _("其他许可")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="licences")
    kind = models.CharField(_("证照类型"), max_length=8, choices=Kind)
    number = models.CharField(_("证照编号"), max_length=40)
    issued_by = models.CharField(_("发证机关"), max_length=120, blank=True)
    valid_until = models.DateField(_("有效期至"), null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("证照")
        verbose_name_plural = _("证照")
        constraints = [models.UniqueConstraint(fields=["organisation", "kind", "number"], name="one_licence_number")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.number}"


class Place(models.Model):
    """A place goods are at or come from: plot, plant, store, vessel, shop. Belongs to one organisation."""

    class Kind(models.TextChoices):
        PLOT = "plot", _("地块")
        PLANT = "plant", _("车间")
        STORE = "store", _("库房")
        VESSEL = "vessel", _("容器")
        LINE = "line", _("生产线")
        SHOP = "shop", _("门店")
        OFFICE = "office", _("办公场所")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="places")
    name = models.CharField(_("名称"), max_length=80)
    name_en = models.CharField(_("英文名称"), max_length=120, blank=True)
    kind = models.CharField(_("类型"), max_length=8, choices=Kind)
    division = models.ForeignKey(Division, on_delete=models.PROTECT, related_name="places")
    address = models.CharField(_("地址"), max_length=200, blank=True)
    gln = models.CharField("GLN", max_length=13, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("地点")
        verbose_name_plural = _("地点")
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="one_place_name")]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The name in the reader's language."""
        if (get_language() or "").startswith("en") and self.name_en:
            return self.name_en
        return self.name


class EditLog(models.Model):
    """One change of master data (organisation, place, product, licence): who, when, what before and after. Append-only.

    ``subject`` is a URI-like name (``organisation:<uid>``), not a key: the log outlives what it tells of.
    Notice no. 5 of 2025 on digital labels, article 3, asks for content, time and author of each change.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="edits")
    subject = models.CharField(max_length=80, db_index=True)
    field = models.CharField(max_length=60)
    old = models.JSONField(null=True)
    new = models.JSONField(null=True)
    public = models.BooleanField(default=False)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.subject}.{self.field}"
