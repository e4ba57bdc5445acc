"""What the process that others are forked from loads (tests/loaded.py): the program with every address it answers."""

import django

django.setup()

import granian.cli  # noqa: E402, F401
from django.core.management import get_commands  # noqa: E402
from django.urls import get_resolver  # noqa: E402

import recalls.management.commands.worker  # noqa: E402, F401

get_commands()
get_resolver().url_patterns  # noqa: B018  (reading them imports every view)
