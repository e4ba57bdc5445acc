"""The first operator of a production installation: asked for on the terminal, or taken from the environment."""

import getpass
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from trace.actions.operators import create_first_operator
from trace.errors import DomainError
from trace.models import User


class Command(BaseCommand):
    """Create the first operator when there is none; otherwise do nothing. There is no default log-in, ever."""

    help = (
        "Ask for the first operator's name and password when there is no operator yet. Without a terminal they are "
        "taken from OPERATOR_USERNAME and OPERATOR_PASSWORD."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the operator, asking again after a refusal as long as somebody sits at the terminal."""
        if User.objects.filter(is_staff=True, is_active=True).exists():
            return
        username, password = os.environ.get("OPERATOR_USERNAME", ""), os.environ.get("OPERATOR_PASSWORD", "")
        if username and password:
            try:
                create_first_operator(username=username, display_name="", password=password)
            except DomainError as error:
                raise CommandError(error.message) from error
        elif sys.stdin.isatty():
            username = self.ask()
        else:
            raise CommandError(
                _(
                    "还没有运维人员。请在终端运行 make serve，按提示设置；没有终端时，首次启动请设置环境变量 "
                    "OPERATOR_USERNAME 和 OPERATOR_PASSWORD。"
                )
            )
        self.stdout.write(_("已创建运维人员 %(name)s。") % {"name": username})

    def ask(self) -> str:
        """Ask on the terminal until a name and a password are accepted; the name."""
        self.stdout.write(_("还没有运维人员，现在设置第一位(他负责审核首个监管机构并维护本系统)。"))
        while True:
            username = input(_("登录名：")).strip()
            display_name = input(_("姓名：")).strip()
            password = getpass.getpass(_("密码(至少 10 位，输入时不显示):"))
            if password != getpass.getpass(_("再输入一次密码：")):
                self.stderr.write(_("两次输入的密码不同，请重新输入。"))
                continue
            try:
                create_first_operator(username=username, display_name=display_name, password=password)
            except DomainError as error:
                self.stderr.write(error.message)
                continue
            return username
