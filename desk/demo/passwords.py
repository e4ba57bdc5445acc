"""How the demonstration keeps passwords: quickly, as everybody knows them."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickHasher(PBKDF2PasswordHasher):
    """Django's own in few rounds: two dozen log-ins with one printed password took half of the first start's time."""

    iterations = 1000
