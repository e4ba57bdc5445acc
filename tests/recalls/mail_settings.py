"""Settings of a worker process in a test: its mail goes to a server of the test's own."""

import os

from tests.settings import *  # noqa: F403

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ["TEST_SMTP_PORT"])
EMAIL_TIMEOUT = 10
if "TEST_SMS_PORT" in os.environ:
    SMS_BACKEND = "http"
    SMS_GATEWAY_URL = f"http://127.0.0.1:{os.environ['TEST_SMS_PORT']}/"
    SMS_GATEWAY_TOKEN = "test"
    WEBHOOK_ALLOW_PRIVATE = True
